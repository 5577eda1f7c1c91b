import { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import type { Allowed } from '../model/allowance.ts';
import type { Touched } from '../model/dirty-set.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Policy } from '../model/policy.ts';
import { noRevision, type Revision } from '../model/revision.ts';
import type { ServiceState } from '../model/service-state.ts';
import { type Change, createdAt, type Entry, type RegistryEvent } from '../registry/registry.ts';
import { type Allocation, noAllocation, waitsFor } from './allocation.ts';
import type { Allowances } from './allowances.ts';
import { Fold } from './fold.ts';
import { type CatalogLimits, defaultCatalogLimits, noLimits } from './limits.ts';
import type { Numbers } from './numbers.ts';
import { noOverrides, type Overrides, type OverrideTarget, type OverrideTransition } from './overrides.ts';
import type { Since } from './since.ts';

export type Service = {
  readonly name: ServiceName;
  readonly policy: Policy;
  /** False when `policy` is the default because nobody declared one. */
  readonly declared: boolean;
  /** Since when it has a policy without a break; undefined while it has none. */
  readonly since: Since | undefined;
  /** What operators let it claim. */
  readonly allowed: Allowed;
  /** As their registrations say. */
  readonly registered: PersistentMap<InstanceId, Instance>;
  /** As they should be served: those that are registered, under the operators' overrides. The same map where none counts. */
  readonly instances: PersistentMap<InstanceId, Instance>;
  readonly numbers: Numbers;
  /** What an operator's override keeps requests from it with; it is then there even if nothing else says so. */
  readonly held: ServiceState | undefined;
};

/** An entry that was not taken. Where the key held something good before, that goes on being served. */
export type Rejection = {
  readonly key: string;
  readonly reason: string;
  readonly revision: Revision;
  readonly lastGoodServes: boolean;
};

/** What should be served: the registry's tree, parsed. A value: folding an event gives a new one. */
export type Catalog = {
  readonly revision: Revision;
  readonly cluster: string | undefined;
  readonly services: PersistentMap<ServiceName, Service>;
  readonly overrides: Overrides;
  readonly allowances: Allowances;
  /** The raw entry behind everything in `services`, `overrides` and `allowances`; what is kept on disk. */
  readonly accepted: PersistentMap<string, Entry>;
  readonly rejected: PersistentMap<string, Rejection>;
  /** How many of them each service has. */
  readonly rejections: PersistentMap<string, number>;
  /** The services of which more was rejected, since everything was read the last time, than is remembered. */
  readonly forgotten: PersistentSet<string>;
  /** What the instances and policies of each service ask for and get, of what there is for all. */
  readonly shares: Allocation;
  /** The same of the overrides, which have room of their own. */
  readonly overrideShares: Allocation;
  /** Entries of services that came when there were as many as there may be, until there are fewer. */
  readonly late: PersistentMap<string, Entry>;
};

export const emptyCatalog: Catalog = {
  revision: noRevision,
  cluster: undefined,
  services: PersistentMap(),
  overrides: noOverrides,
  allowances: PersistentMap(),
  accepted: PersistentMap(),
  rejected: PersistentMap(),
  rejections: PersistentMap(),
  forgotten: PersistentSet(),
  shares: noAllocation,
  overrideShares: noAllocation,
  late: PersistentMap(),
};

/** An instance whose key was deleted, as it was just before. */
export type Removal = { readonly instance: Instance; readonly leased: boolean };

export type Folded = {
  readonly catalog: Catalog;
  readonly touched: Touched;
  /** Instances and policies that really differ now: what the changes-applied metric counts. */
  readonly changes: number;
  readonly rejections: readonly Rejection[];
  /** What left, with its last state: a fold of many changes may hold both the draining and the delete. */
  readonly removals: readonly Removal[];
  readonly overrides: readonly OverrideTransition[];
};

/** Folds what the registry said into the catalog. Cost grows with the changes, not with the catalog. */
export function foldEvent(
  catalog: Catalog,
  event: RegistryEvent,
  limits: CatalogLimits = defaultCatalogLimits,
): Folded {
  switch (event.kind) {
    case 'snapshot': {
      const changes = snapshotChanges(catalog, event);
      return foldChanges(
        { ...catalog, cluster: event.cluster, forgotten: emptyCatalog.forgotten },
        changes,
        event.revision,
        limits,
      );
    }
    case 'changes':
      return foldChanges(catalog, event.changes, event.revision, limits);
    case 'progress':
      return unchanged({ ...catalog, revision: event.revision });
    case 'connected':
    case 'disconnected':
      return unchanged(catalog);
  }
}

/** A fold of nothing. */
export function unchanged(catalog: Catalog): Folded {
  return { catalog, touched: new Map(), changes: 0, rejections: [], removals: [], overrides: [] };
}

/** What turns the catalog into the snapshot: an unchanged entry costs a look-up and nothing else. */
function snapshotChanges(catalog: Catalog, snapshot: Extract<RegistryEvent, { kind: 'snapshot' }>): readonly Change[] {
  const changes: Change[] = [];
  const gone = (key: string) => {
    if (!snapshot.entries.has(key)) changes.push({ kind: 'delete', key, revision: snapshot.revision });
  };
  // First, so that what comes finds the room that they leave.
  for (const key of catalog.accepted.keys()) gone(key);
  for (const key of catalog.rejected.keys()) if (!catalog.accepted.has(key)) gone(key);
  for (const key of waitingKeys(catalog)) if (!catalog.accepted.has(key) && !catalog.rejected.has(key)) gone(key);
  for (const entry of snapshot.entries.values()) {
    const known = catalog.accepted.get(entry.key);
    const same =
      known?.value === entry.value &&
      known.leased === entry.leased &&
      known.held === entry.held &&
      createdAt(known) === createdAt(entry);
    if (!same) changes.push({ kind: 'put', entry });
  }
  return changes;
}

/** All keys that a limit keeps out. */
function* waitingKeys({ shares, overrideShares, late }: Catalog): Iterable<string> {
  for (const { cuts } of [shares, overrideShares]) for (const { waiting } of cuts.values()) yield* waiting.keys();
  yield* late.keys();
}

/** Why this key is not served as it is; undefined where nothing is known against it. */
export function rejectionOf(catalog: Catalog, key: string): Omit<Rejection, 'revision'> | undefined {
  const known = catalog.rejected.get(key);
  if (known !== undefined) return known;
  // More entries may wait than rejections are remembered.
  const [area, service = ''] = key.split('/', 2);
  const reason = waitsFor(area === 'overrides' ? catalog.overrideShares : catalog.shares, service, key);
  return reason === undefined ? undefined : { key, reason, lastGoodServes: false };
}

/** The catalog as if it had no limits, for a fold that only looks at something: what waits goes on waiting. */
export const unlimited = (catalog: Catalog): Catalog => ({
  ...catalog,
  shares: noAllocation,
  overrideShares: noAllocation,
  late: emptyCatalog.late,
});

function foldChanges(catalog: Catalog, changes: readonly Change[], revision: Revision, limits: CatalogLimits): Folded {
  const fold = new Fold(catalog, limits);
  for (const change of changes) {
    if (change.kind === 'put') fold.put(change.entry);
    else fold.delete(change.key);
  }
  return fold.result(revision);
}

/** Ends overrides whose time is up. Their keys may stand for a moment longer, and mean nothing any more. */
export function endOverrides(catalog: Catalog, targets: Iterable<OverrideTarget>): Folded {
  const fold = new Fold(catalog, noLimits);
  for (const target of targets) fold.override(target, undefined, 'expired');
  return fold.result(catalog.revision);
}
