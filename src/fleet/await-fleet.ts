import { allInstancesKey, areaOfKey, instanceKey, policyKey } from '../model/key.ts';
import { formatDuration } from '../model/quantity.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import { serviceOf } from '../registry/holding/areas.ts';
import type { Acknowledgement } from './acknowledgement.ts';
import { anyService } from './acknowledgement.ts';
import { describeObstacle, type Obstacle } from './barrier.ts';
import type { Fleet } from './fleet.ts';
import type { FleetView } from './fleet-view.ts';

/** What was written: every balancer is to serve these keys as they are at this revision. */
export type WrittenKeys = { readonly revision: Revision; readonly keys: ReadonlySet<string> };

type KeyRefusal = { readonly key: string; readonly reason: string /** See `Refusal`. */; readonly final: boolean };

/** How far a balancer is. */
export type BalancerProgress = {
  readonly balancer: string;
  /** Why it does not serve the revision yet; undefined: it does, except for `refusals`. */
  readonly behind: string | undefined;
  readonly refusals: readonly KeyRefusal[];
};

export type FleetProgress =
  /** The registry does not say which balancers there are. */
  | { readonly kind: 'unheard'; readonly reason: string }
  | {
      readonly kind: 'heard';
      readonly balancers: readonly BalancerProgress[];
    };

export const isServed = ({ behind, refusals }: BalancerProgress): boolean =>
  behind === undefined && refusals.length === 0;

/** Whether every live balancer serves it, or none is alive. */
export const isReached = (progress: FleetProgress): boolean =>
  progress.kind === 'heard' && progress.balancers.every(isServed);

/** Whether waiting does not help: every live balancer has acknowledged it, and all that is missing is refused for good. */
export const isSettled = (progress: FleetProgress): boolean =>
  progress.kind === 'heard' &&
  progress.balancers.every(({ behind, refusals }) => behind === undefined && refusals.every(({ final }) => final));

/** What the balancers have acknowledged of these keys. */
export function progressOf(view: FleetView, written: WrittenKeys): FleetProgress {
  if (view.cluster === undefined) return { kind: 'unheard', reason: view.away ?? 'it has not answered yet' };
  const { cluster } = view;
  const balancers = [...view.balancers].map(([balancer, acknowledgement]): BalancerProgress => {
    if (!acknowledgement.ok) {
      const { reason } = acknowledgement;
      return { balancer, behind: describeObstacle({ kind: 'cannot-tell', reason }), refusals: [] };
    }
    const obstacle = obstacleOf(acknowledgement.value, cluster, written);
    const refusals =
      obstacle?.kind === 'behind' || obstacle?.kind === 'elsewhere' ? [] : refusalsOf(acknowledgement.value, written);
    return { balancer, behind: obstacle && describeObstacle(obstacle), refusals };
  });
  return { kind: 'heard', balancers: balancers.toSorted((one, other) => (one.balancer < other.balancer ? -1 : 1)) };
}

function obstacleOf(
  { revision, cluster, untold }: Acknowledgement,
  here: string,
  written: WrittenKeys,
): Obstacle | undefined {
  // It may not know yet which registry it follows.
  if (revision === noRevision) return { kind: 'behind', at: noRevision };
  if (cluster !== here) return { kind: 'elsewhere' };
  if (revision < written.revision) return { kind: 'behind', at: revision };
  const services = new Set([...written.keys].map((key) => serviceOf(key) ?? (isRefusable(key) ? '' : undefined)));
  let count = 0;
  for (const [service, many] of untold) if (service === anyService || services.has(service)) count += many;
  return count > 0 ? { kind: 'untold', count } : undefined;
}

/** Whether a balancer may refuse a key that is about no service: an acknowledgement counts these under the empty name. */
const isRefusable = (key: string): boolean => ['claims', 'certificates', 'challenges'].includes(areaOfKey(key));

function refusalsOf({ refusals, unrouted }: Acknowledgement, written: WrittenKeys): readonly KeyRefusal[] {
  const found = new Map<string, KeyRefusal>();
  const add = (key: string, reason: string, final: boolean) => {
    const named = writtenKey(key, written);
    if (named === undefined) return;
    const known = found.get(named) ?? { key: named, reason, final };
    found.set(named, { ...known, final: known.final && final });
  };
  for (const { key, reason, final } of refusals) add(key, reason, final === true);
  for (const [service, reason] of unrouted) add(policyKey(service), `no request reaches ${service}: ${reason}`, true);
  return [...found.values()];
}

/** The key that was written and that a refusal is about. A service that is not served at all is refused as all of its instances. */
function writtenKey(key: string, { keys }: WrittenKeys): string | undefined {
  if (keys.has(key)) return key;
  const service = serviceOf(key);
  if (service === undefined || key !== allInstancesKey(service)) return undefined;
  if (keys.has(policyKey(service))) return policyKey(service);
  const instances = instanceKey(service, '');
  for (const one of keys) if (one.startsWith(instances)) return one;
  return undefined;
}

/**
 * Resolves when every live balancer serves what was written, or refuses it for good, or with how far they are when `signal` aborts.
 * Never rejects.
 */
export function awaitFleet(
  fleet: Fleet,
  written: WrittenKeys,
  signal: AbortSignal,
  onProgress: (progress: FleetProgress) => void = () => undefined,
): Promise<FleetProgress> {
  return new Promise((resolve) => {
    const finish = (progress: FleetProgress) => {
      stopListening();
      signal.removeEventListener('abort', onAbort);
      resolve(progress);
    };
    const onAbort = () => finish(progressOf(fleet.view, written));
    const look = () => {
      const progress = progressOf(fleet.view, written);
      onProgress(progress);
      if (isSettled(progress) || signal.aborted) finish(progress);
    };
    const stopListening = fleet.listen(look);
    signal.addEventListener('abort', onAbort, { once: true });
    look();
  });
}

/**
 * Why a wait for the fleet has failed: `it is written, and not served by every balancer after 30s: lb-1 is at revision 5`. `what`: the name of
 * what was written, where the text around does not have it.
 */
export function describeFailure(progress: FleetProgress, timeoutMs: number, what = 'it'): string {
  const after = isSettled(progress) ? '' : ` after ${formatDuration(timeoutMs)}`;
  return `${what} is written, and not served by every balancer${after}: ${describeProgress(progress)}`;
}

/** `lb-1 is at revision 5; lb-2 refuses services/web: …`, at most five of them. */
export function describeProgress(progress: FleetProgress): string {
  if (progress.kind === 'unheard') return `the registry is unavailable: ${progress.reason}`;
  const missing = progress.balancers.flatMap(({ balancer, behind, refusals }) => [
    ...(behind === undefined ? [] : [`${balancer} ${behind}`]),
    ...refusals.map(({ key, reason }) => `${balancer} refuses ${key}: ${reason}`),
  ]);
  const few = missing.slice(0, 5);
  return [...few, ...(missing.length > few.length ? [`and ${missing.length - few.length} more`] : [])].join('; ');
}
