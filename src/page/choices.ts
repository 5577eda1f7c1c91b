import type { BalanceHealth } from '../balance/health.ts';

/** A service, or one instance of it. */
export type Subject = { readonly service: string; readonly instance: string | undefined };

/** An action that the dialog offers. */
export type Choice = {
  readonly action: 'drain' | 'maintenance' | 'weight' | 'pause' | 'undrain' | 'resume' | 'clear' | 'release';
  readonly label: string;
  /** Whether it lasts for some time and has a reason. */
  readonly lasts: boolean;
};

export const nameOf = ({ service, instance }: Subject): string =>
  instance === undefined ? service : `${service}/${instance}`;

/** The actions that make sense now: to end an override comes first where there is one. */
export function choicesFor(
  subject: Subject,
  health: Pick<BalanceHealth, 'overrides' | 'held' | 'guarded'>,
): readonly Choice[] {
  const { service, instance } = subject;
  const standing = health.overrides.find((one) => one.service === service && one.instance === (instance ?? '*'));
  const holds = health.guarded.some((one) => one.service === service) || health.held.length > 0;
  return [
    ...(standing === undefined ? [] : [endOf(standing.kind)]),
    { action: 'drain', label: 'Drain: no new requests, open ones go on', lasts: true },
    { action: 'maintenance', label: 'Maintenance: no requests, no health checks', lasts: true },
    { action: 'weight', label: 'Weight: another share of the requests', lasts: true },
    ...(instance === undefined ? ([{ action: 'pause', label: 'Pause: requests wait', lasts: true }] as const) : []),
    ...(instance === undefined && holds
      ? ([{ action: 'release', label: 'Release: let go of what is held', lasts: false }] as const)
      : []),
  ];
}

function endOf(kind: BalanceHealth['overrides'][number]['kind']): Choice {
  if (kind === 'drain') return { action: 'undrain', label: 'Undrain: end the drain', lasts: false };
  if (kind === 'pause') return { action: 'resume', label: 'Resume: end the pause', lasts: false };
  return { action: 'clear', label: `Clear: end the ${kind}`, lasts: false };
}

export type Duration = { readonly label: string; readonly ms: number | undefined };

const minute = 60_000;
const lasting: readonly Duration[] = [
  { label: '10 minutes', ms: 10 * minute },
  { label: '1 hour', ms: 60 * minute },
  { label: '8 hours', ms: 480 * minute },
  { label: '1 day', ms: 1440 * minute },
  { label: '7 days', ms: 10_080 * minute },
  { label: 'until it is cleared', ms: undefined },
];
const pauses: readonly Duration[] = [
  { label: '30 seconds', ms: minute / 2 },
  { label: '2 minutes', ms: 2 * minute },
  { label: '10 minutes', ms: 10 * minute },
];

/** How long an action may last; the first is suggested. A pause always ends. */
export const durationsOf = ({ action }: Pick<Choice, 'action'>): readonly Duration[] =>
  action === 'pause' ? pauses : lasting;

type Filled = { readonly weight: string; readonly forMs: number | undefined; readonly why: string };

/** The action as JSON for the balancer; undefined while a field is missing. */
export function requestOf(
  subject: Subject,
  { action, lasts }: Choice,
  { weight, forMs, why }: Filled,
): object | undefined {
  if (action === 'weight' && !/^\d{1,3}$/.test(weight)) return undefined;
  return {
    action,
    service: subject.service,
    ...(subject.instance === undefined ? {} : { instance: subject.instance }),
    ...(action === 'weight' ? { weight: Number(weight) } : {}),
    ...(lasts && forMs !== undefined ? { forMs } : {}),
    ...(lasts && why.trim() !== '' ? { why: why.trim() } : {}),
  };
}
