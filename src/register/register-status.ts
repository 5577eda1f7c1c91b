import type { ConnectionState } from './connection.ts';
import type { ContainersFacts } from './containers/containers-facts.ts';
import { type RegistrationState, registrationStates } from './registration-state.ts';

/** What a process that announces instances knows of itself. */
export type RegisterFacts = {
  /** It was asked to end. */
  readonly leaving: boolean;
  readonly registry: ConnectionState & {
    /** Without credentials. */
    readonly location: string;
    /** How many leases were granted; each but the first replaced a lost one. */
    readonly leases: number;
    /** How many registrations the registry had lost. */
    readonly restored: number;
  };
  readonly instances: readonly RegistrationState[];
  /** With `--dir`. */
  readonly folder: FolderFacts | undefined;
  /** With `--containers`. */
  readonly containers: ContainersFacts | undefined;
};

export type FolderFacts = {
  /** Why the folder cannot be read; undefined while it can. */
  readonly unreadable: string | undefined;
  /** How many files have a mistake. */
  readonly refused: number;
};

/** Every part that can keep a process from announcing instances as it should. docs/register.md has a row for each. */
export const registerParts = {
  registry: 'the registry does not answer',
  registrations: 'the registry, or another process, refuses registrations',
  folder: 'the folder of declarations cannot be read',
  engine: 'pointsman does not follow the containers of the engine',
  policies: 'the policies of labels cannot be written',
} as const;

type RegisterPart = keyof typeof registerParts;

type RegisterTrouble = { readonly part: RegisterPart; readonly means: string; readonly reason: string };

/** The answer of `/status`. */
export type RegisterStatus = Omit<RegisterFacts, 'registry' | 'instances'> & {
  /** Nothing keeps it from announcing what it should, and it was not asked to end. */
  readonly ready: boolean;
  readonly troubles: readonly RegisterTrouble[];
  readonly registry: RegisterFacts['registry'] & { readonly connected: boolean };
  /** How many are in each state. */
  readonly instances: Readonly<Record<RegistrationState['state'], number>>;
  /** The first of those that are not announced. */
  readonly notAnnounced: readonly RegistrationState[];
};

/** A member of etcd that restarts, and a stream of events that is cut, are back within this time. */
const notReadyAfterMs = 2000;
const mostNamed = 100;

export function statusOf(facts: RegisterFacts): RegisterStatus {
  const { leaving, folder, containers, instances } = facts;
  const registryAway = registryReason(facts);
  const policies = containers?.policies;
  const reasons: Readonly<Record<RegisterPart, string | undefined>> = {
    registry: registryAway,
    registrations: refusedReason(instances),
    folder: folder?.unreadable,
    engine: containers && lasting(containers.engine),
    // Without the registry nothing can be written: one trouble is enough.
    policies: registryAway === undefined ? policies?.unwritten : undefined,
  };
  const troubles = (Object.keys(registerParts) as RegisterPart[]).flatMap((part) => {
    const reason = reasons[part];
    return reason === undefined ? [] : [{ part, means: registerParts[part], reason }];
  });
  const notAnnounced = instances.filter(({ state }) => state !== 'announced').slice(0, mostNamed);
  const counts = Object.fromEntries(
    registrationStates.map((one) => [one, instances.filter(({ state }) => state === one).length]),
  ) as RegisterStatus['instances'];
  const { reason } = facts.registry;
  const connected = wasAsked(facts) ? reason === undefined : policies !== undefined && policies.away === undefined;
  return {
    ready: troubles.length === 0 && !leaving,
    leaving,
    troubles,
    registry: { ...facts.registry, connected },
    instances: counts,
    notAnnounced,
    folder,
    containers,
  };
}

/** Whether this process has written to the registry, or tries to. */
const wasAsked = ({ registry, instances }: RegisterFacts): boolean =>
  registry.known || registry.losses > 0 || instances.some(({ state }) => state === 'pending' || state === 'refused');

/** Before the first instance, only those that follow the policies of labels have asked the registry. */
function registryReason(facts: RegisterFacts): string | undefined {
  if (wasAsked(facts)) return lasting(facts.registry);
  return facts.containers?.policies.away;
}

/** A connection that was lost counts after a moment, and one that was never there at once. */
function lasting({ reason, staleMs, known }: ConnectionState): string | undefined {
  return known && staleMs < notReadyAfterMs ? undefined : reason;
}

function refusedReason(instances: readonly RegistrationState[]): string | undefined {
  const [first, ...more] = instances.filter(({ state }) => state === 'refused');
  if (first === undefined) return undefined;
  const others = more.length === 0 ? '' : `, and ${more.length} more`;
  const { name, reason = 'refused' } = first;
  return `${reason.includes(name) ? reason : `${name}: ${reason}`}${others}`;
}
