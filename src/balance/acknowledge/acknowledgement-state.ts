import type { Catalog } from '../../catalog/catalog.ts';
import type { Refusal } from '../../fleet/acknowledgement.ts';
import { noRevision, type Revision } from '../../model/revision.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import type { Shortfall } from '../observe/serving-observer.ts';

export type Reached = { readonly revision: Revision; readonly cluster: string };

/** A worker of HAProxy serves all of a catalog but the shortfall. */
export type Served = { readonly catalog: Catalog; readonly shortfall: Shortfall; readonly workerPid: number };

/** How far this balancer serves the registry. A value. */
export type AcknowledgementState = {
  /** The history of the registry. */
  readonly cluster: string;
  readonly newest?: Reached | undefined;
  /** When the oldest change came that is not acknowledged yet, in ms. */
  readonly since?: number | undefined;
  readonly served?: Served | undefined;
  readonly reached?: Reached | undefined;
};

export const noShortfall: Shortfall = { unserved: [], unrouted: new Map(), conflicts: new Map() };

/** Before the balancer serves anything: the others have to wait for it. */
export function begun(state: AcknowledgementState): AcknowledgementState {
  return { ...state, reached: { revision: noRevision, cluster: state.cluster } };
}

/** After an event of the registry. `now` is monotonic, in ms. */
export function afterEvent(state: AcknowledgementState, event: RegistryEvent, now: number): AcknowledgementState {
  if (event.kind !== 'snapshot' && event.kind !== 'changes') return state;
  const cluster = event.kind === 'snapshot' ? event.cluster : state.cluster;
  const { newest, since = now, reached } = state;
  return {
    ...state,
    cluster,
    newest: { revision: event.revision, cluster },
    since,
    reached: newest === undefined ? { revision: noRevision, cluster } : reached,
  };
}

/** After HAProxy came to serve a catalog. `due`: whether it has to be acknowledged; undefined when no client can wait for it. */
export function afterServed(
  before: AcknowledgementState,
  served: Served,
): { readonly state: AcknowledgementState; readonly due: boolean | undefined } {
  const state = { ...before, served };
  const { revision, cluster } = served.catalog;
  const { newest } = before;
  // The catalog is from the disk, or of the history before the registry was replaced.
  if (newest === undefined || cluster !== newest.cluster) return { state, due: undefined };
  const reached = { revision: revision < newest.revision ? revision : newest.revision, cluster };
  const same = before.reached?.revision === reached.revision && before.reached.cluster === cluster;
  const due = !same || !sameShortfall(served.shortfall, before.served?.shortfall ?? noShortfall);
  return { state: { ...state, reached }, due };
}

const sameShortfall = (one: Shortfall, other: Shortfall): boolean =>
  sameRefusals(one.unserved, other.unserved) &&
  sameReasons(one.unrouted, other.unrouted) &&
  sameReasons(one.conflicts, other.conflicts);

const sameReasons = (one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean =>
  one.size === other.size && [...one].every(([service, reason]) => other.get(service) === reason);

const sameRefusals = (one: readonly Refusal[], other: readonly Refusal[]): boolean =>
  one.length === other.length &&
  one.every((refusal, i) => {
    const second = other[i];
    const { key, reason, absent, final } = refusal;
    return key === second?.key && reason === second.reason && absent === second.absent && final === second.final;
  });
