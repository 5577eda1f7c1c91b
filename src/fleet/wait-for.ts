import { noRevision, type Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { type Awaited, type BarrierState, evaluateBarrier, isOver, isRefused } from './barrier.ts';
import { Fleet } from './fleet.ts';
import type { FleetView } from './fleet-view.ts';
import {
  foldPolicy,
  foldRegistrations,
  isRegistered,
  isUnknown,
  isUnregistered,
  nothingRead,
  policyRange,
  type Registrations,
  rangeOf,
  readyOnes,
  type WaitSubject,
} from './registrations.ts';

export type WaitRequest = {
  readonly subject: WaitSubject;
  /** That every live balancer serves it, or that none does any more. */
  readonly goal: 'serves' | 'gone';
  /** At least this; undefined: what the registry has now. */
  readonly revision: Revision | undefined;
};

/** How far a wait is. */
export type WaitState =
  /** The registry itself is not as wanted. */
  | { readonly kind: 'registry'; readonly because: string }
  | { readonly kind: 'fleet'; readonly awaited: Awaited; readonly verdict: BarrierState };

export const isDone = (state: WaitState): boolean => state.kind === 'fleet' && isOver(state.verdict, state.awaited);

/** Whether every balancer that does not serve it refuses it for good. What is to be gone may still be let go of. */
const isHopeless = (state: WaitState): boolean =>
  state.kind === 'fleet' && state.awaited.goal === 'serves' && isRefused(state.verdict);

export type WaitParts = {
  readonly registry: Registry;
  /**
   * Writes a key without a meaning that every balancer receives, and returns its revision. A balancer that has acknowledged
   * that revision has served every earlier deletion, also one of unknown revision.
   */
  readonly mark: (signal: AbortSignal) => Promise<Revision>;
  readonly onProgress: (state: WaitState) => void;
};

/** Resolves when the wait is over or hopeless, or with how far it is when `signal` aborts. Rejects when the registry takes no mark. */
export async function waitFor(request: WaitRequest, parts: WaitParts, signal: AbortSignal): Promise<WaitState> {
  const { registry, mark, onProgress } = parts;
  const fleet = new Fleet(registry);
  const ended = new AbortController();
  let registrations: Registrations = nothingRead;
  // An instance can be gone with any policy.
  let policy = request.goal === 'serves' ? undefined : noRevision;
  let marked: Revision | undefined;
  // Something may have come and gone between two snapshots, so a mark counts only after the newest.
  let snapshots = 0;
  let markedFor = 0;
  let state = assess(request, { registrations, policy }, marked, fleet.view);
  let onState: () => void = () => undefined;
  let onFailure: (error: unknown) => void = () => undefined;

  const look = () => {
    state = assess(request, { registrations, policy }, marked, fleet.view);
    onState();
    if (request.goal !== 'gone' || !isUnknown(registrations) || markedFor === snapshots) return;
    markedFor = snapshots;
    const since = snapshots;
    mark(ended.signal).then((revision) => {
      if (since !== snapshots) return;
      marked = revision;
      look();
    }, onFailure);
  };
  const stopListening = fleet.listen(look);
  const follower = registry.follow((event) => {
    registrations = foldRegistrations(registrations, event);
    if (event.kind === 'snapshot') {
      snapshots += 1;
      marked = undefined;
    }
    look();
  }, rangeOf(request.subject));
  const policyFollower =
    policy === undefined
      ? registry.follow((event) => {
          policy = foldPolicy(policy, event);
          look();
        }, policyRange(request.subject))
      : undefined;

  try {
    return await new Promise<WaitState>((resolve, reject) => {
      onFailure = reject;
      onState = () => {
        onProgress(state);
        if (isDone(state) || isHopeless(state)) resolve(state);
      };
      signal.addEventListener('abort', () => resolve(state), { once: true });
      onState();
      if (signal.aborted) resolve(state);
    });
  } finally {
    [onState, onFailure] = [() => undefined, () => undefined];
    ended.abort();
    stopListening();
    await Promise.all([follower.close(), policyFollower?.close(), fleet.close()]);
  }
}

const newest = (one: Revision, other: Revision): Revision => (other > one ? other : one);

function assess(
  { subject, goal, revision: least }: WaitRequest,
  { registrations, policy }: { readonly registrations: Registrations; readonly policy: Revision | undefined },
  marked: Revision | undefined,
  view: FleetView,
): WaitState {
  const readiness = goal === 'serves' ? isRegistered(registrations, subject) : isUnregistered(registrations, marked);
  if (!readiness.ready) return { kind: 'registry', because: readiness.because };
  if (policy === undefined) return { kind: 'registry', because: 'the registry has not answered yet' };
  const revision = newest(newest(readiness.revision, policy), least ?? noRevision);
  const ready = goal === 'serves' ? readyOnes(registrations, subject) : [];
  const awaited: Awaited = { goal, ...subject, revision, ready };
  return { kind: 'fleet', awaited, verdict: evaluateBarrier(view, awaited) };
}
