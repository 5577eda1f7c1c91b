import type { Logger } from 'pino';
import { areaOfKey, policyKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { StateFiles } from '../state/state-files.ts';
import type { CheckedConfig } from '../state/validation.ts';
import { attribute } from './attribution.ts';
import { bisect, type ValidationAnswer } from './bisect.ts';
import {
  answerReader,
  candidatesByKind,
  changedTemplates,
  compose,
  leavesNone,
  mayBeQuarantined,
  mostForOneTemplate,
  type RefusedBuild,
  withNewListeners,
} from './candidates.ts';
import {
  type Candidate,
  lastGoodFormFor,
  type Quarantine,
  templateCandidate,
  templateChanged,
  withOffenders,
} from './quarantine.ts';
import { tryAgain } from './review.ts';

export type Refused = Extract<CheckedConfig, { ok: false }>;

type Validation = {
  readonly files: Pick<StateFiles, 'check'>;
  readonly baseSettings: BaseSettings;
};

/** A reload that failed although HAProxy had accepted the configuration. */
export type FailedReload = {
  readonly reason: string;
  /** Whether HAProxy itself refused it. */
  readonly refused: boolean;
  /** The number of failures in a row. */
  readonly failures: number;
};

// A machine that is short of memory for a moment is no fault of a template.
const enoughFailures = 3;
// HAProxy validates 1,000 servers in 60 ms and 10,000 in 260 ms.
const mostChecks = 24;
const searchMs = 10_000;

/** Finds the candidates for which HAProxy refused a configuration. Undefined: a quarantine of candidates does not help. */
export async function findOffenders(
  quarantine: Quarantine,
  refused: Refused,
  build: RefusedBuild,
  { files, baseSettings, logger, now }: Validation & { readonly logger: Logger; readonly now: () => number },
): Promise<ReadonlyMap<Candidate, string> | undefined> {
  const started = now();
  const { templates, changed, others } = candidatesByKind(quarantine, build);
  // The most likely first.
  const candidates = [...templates, ...changed, ...others];
  const nameIn = answerReader(quarantine, build);
  const result = await bisect<Candidate>({
    candidates,
    first: { ok: false, reason: refused.reason, named: nameIn(refused.problems, build.desired) },
    ask: async (suspects): Promise<ValidationAnswer<Candidate>> => {
      const reasons = new Map([...suspects].map((candidate) => [candidate, '']));
      const { rendered } = compose(quarantine, withOffenders(quarantine, reasons, build), build, baseSettings);
      const checked = await files.check(rendered, { keep: false });
      if (checked.ok) return checked;
      return { ok: false, reason: checked.reason, named: nameIn(checked.problems, rendered) };
    },
    most: mostChecks,
    patient: () => now() - started < searchMs,
  });
  const about = { suspects: candidates.length, ms: Math.round(now() - started) };
  // An address that is in use becomes free by itself, so a balancer may begin without any service for it.
  const none = refused.mayPass !== 'address' && leavesNone(quarantine, result?.offenders ?? new Map(), build);
  if (result === undefined || none) {
    logger.debug({ event: 'nobody-to-hold', ...about }, 'no service, instance or template explains it');
    return undefined;
  }
  logger.debug({ event: 'culprits-found', checks: result.questions, ...about });
  return result.offenders;
}

/**
 * The services in quarantine whose requested form HAProxy accepts now. If the answer names offenders, HAProxy validates once more
 * without them. `quarantine` changes while HAProxy validates.
 */
export async function acceptedNow(
  quarantine: () => Quarantine,
  names: ReadonlySet<ServiceName>,
  build: RefusedBuild,
  { files, baseSettings }: Validation,
): Promise<ReadonlySet<ServiceName>> {
  let left = names;
  for (let attempt = 0; attempt < 2 && left.size > 0; attempt += 1) {
    const now = quarantine();
    const { rendered, problems } = compose(now, tryAgain(now, left, build.requested), build, baseSettings, left);
    const able = new Set([...left].filter((name) => !problems.some(({ service }) => service === name)));
    if (able.size < left.size) {
      left = able;
      continue;
    }
    const checked = await files.check(rendered, { keep: false });
    if (checked.ok) return left;
    const rules = { mayBeQuarantined: (name: ServiceName) => left.has(name), hasForm: () => true, frameChanged: false };
    const named = attribute(checked.problems, rendered, rules);
    const others = new Set([...left].filter((name) => !named.has(policyKey(name))));
    if (others.size === left.size) break;
    left = others;
  }
  return new Set();
}

/**
 * The offenders of a reload that failed although HAProxy had accepted the configuration, the first that apply: the candidates that
 * the answer names; services with a new address to listen on, which a validation does not try everywhere; after some failures a
 * changed frame; then all services that changed. A reload that timed out, or whose result is unknown, says nothing about services.
 */
export function offendersOfReload(
  quarantine: Quarantine,
  { reason, refused, failures }: FailedReload,
  build: RefusedBuild,
): ReadonlyMap<Candidate, string> {
  const named = namedIn(quarantine, reason, build);
  if (named.size > 0) return named;
  const listeners = refused ? withNewListeners(quarantine, build).map(policyKey) : [];
  if (listeners.length > 0) return oneOf(listeners, 'with a new port', reason);
  if (failures < enoughFailures) return new Map();
  if (templateChanged(quarantine, build.requested.templates, 'frame'))
    return new Map([[templateCandidate('frame'), reason]]);
  const changed = refused ? candidatesByKind(quarantine, build).changed : [];
  return oneOf(
    changed.filter((one) => areaOfKey(one) === 'services'),
    'that changed',
    reason,
  );
}

function namedIn(quarantine: Quarantine, reason: string, build: RefusedBuild): ReadonlyMap<Candidate, string> {
  const line = /\[\/[^\]\s]*:(\d+)\]/.exec(reason)?.[1];
  const problem = { line: line === undefined ? undefined : Number(line), text: reason, reason };
  return answerReader(quarantine, build)([problem], build.desired);
}

function oneOf(candidates: readonly Candidate[], which: string, reason: string): ReadonlyMap<Candidate, string> {
  const why = candidates.length === 1 ? reason : `one of ${candidates.length} ${which}: ${reason}`;
  return new Map(candidates.map((candidate) => [candidate, why]));
}

/**
 * The offenders among services that cannot be rendered as requested, each with the reason. Without a quarantine the routes of a new
 * policy would lead to the rules of the former one. If many services fail with a new template, the template is the offender.
 */
export function unrenderable(
  quarantine: Quarantine,
  build: RefusedBuild,
  problems: readonly RenderProblem[],
  baseSettings: BaseSettings,
): ReadonlyMap<Candidate, string> {
  const failed = new Map<ServiceName, string>();
  for (const problem of problems) {
    const { service, reason } = problem;
    if (failed.has(service) || !mayBeQuarantined(quarantine, build, service)) continue;
    if (problem.instance === undefined || isOfPolicy(quarantine, build, problem, baseSettings))
      failed.set(service, reason);
  }
  const [first] = failed.values();
  if (first === undefined) return new Map();
  const templates = changedTemplates(quarantine, build.requested).filter((role) => role !== 'frame');
  const isMany = failed.size > mostForOneTemplate.services || failed.size >= build.requested.catalog.services.size;
  if (templates.length > 0 && isMany) return new Map(templates.map((role) => [templateCandidate(role), first]));
  return new Map([...failed].map(([name, reason]) => [policyKey(name), reason]));
}

/** Whether the new form of the service is the reason why an instance cannot be rendered. */
function isOfPolicy(
  quarantine: Quarantine,
  build: RefusedBuild,
  { service, instance, reason, lastGoodServes }: RenderProblem,
  baseSettings: BaseSettings,
): boolean {
  if (!lastGoodServes || lastGoodFormFor(quarantine, build.requested, service) === undefined) return false;
  const trial = withOffenders(quarantine, new Map([[policyKey(service), reason]]), build);
  const { problems } = compose(quarantine, trial, build, baseSettings, [service]);
  return !problems.some((other) => other.service === service && other.instance === instance);
}
