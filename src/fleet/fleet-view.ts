import type { Parsed } from '../model/parsed.ts';
import type { Change, Entry, RegistryEvent } from '../registry/registry.ts';
import { type Acknowledgement, balancerOf, hasEnded, parseAcknowledgement } from './acknowledgement.ts';

/** The live balancers, according to the registry. */
export type FleetView = {
  /** The cluster of the registry; undefined before its first answer. */
  readonly cluster: string | undefined;
  /** Why the registry is away, and what is known may be old; undefined while it is followed. */
  readonly away: string | undefined;
  /** By id. One whose value cannot be read lives all the same. */
  readonly balancers: ReadonlyMap<string, Parsed<Acknowledgement>>;
  /** The balancers that left after their HAProxy had ended. The lease of one that is in neither has ended, and its HAProxy may serve. */
  readonly ended: ReadonlySet<string>;
};

export const emptyFleet: FleetView = {
  cluster: undefined,
  away: 'it has not answered yet',
  balancers: new Map(),
  ended: new Set(),
};

/** Folds an event of a follower of `fleetKeys`. */
export function foldFleet(view: FleetView, event: RegistryEvent): FleetView {
  switch (event.kind) {
    case 'snapshot': {
      const [balancers, ended] = [new Map<string, Parsed<Acknowledgement>>(), new Set(view.ended)];
      for (const entry of event.entries.values()) fold(balancers, ended, { kind: 'put', entry });
      return { cluster: event.cluster, away: undefined, balancers, ended };
    }
    case 'changes': {
      const [balancers, ended] = [new Map(view.balancers), new Set(view.ended)];
      for (const change of event.changes) fold(balancers, ended, change);
      return { ...view, balancers, ended };
    }
    case 'connected':
      return { ...view, away: view.cluster === undefined ? view.away : undefined };
    case 'disconnected':
      return { ...view, away: event.reason };
    case 'progress':
      return view;
  }
}

/** The balancers of these entries, which were read at one time. */
export function balancersOf(entries: Iterable<Entry>): FleetView['balancers'] {
  const balancers = new Map<string, Parsed<Acknowledgement>>();
  for (const entry of entries) fold(balancers, new Set(), { kind: 'put', entry });
  return balancers;
}

function fold(balancers: Map<string, Parsed<Acknowledgement>>, ended: Set<string>, change: Change): void {
  const id = balancerOf(change.kind === 'put' ? change.entry.key : change.key);
  if (id === undefined) return;
  if (change.kind === 'delete' || !isBalancer(change.entry)) {
    balancers.delete(id);
  } else if (hasEnded(change.entry.value)) {
    balancers.delete(id);
    ended.add(id);
  } else {
    balancers.set(id, parseAcknowledgement(change.entry.value));
    ended.delete(id);
  }
}

/** A key that a hand wrote is no balancer: it has no lease, and would be waited for for ever. */
const isBalancer = ({ leased }: Entry): boolean => leased;
