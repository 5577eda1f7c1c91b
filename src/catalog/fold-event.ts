import { policyKey } from '../model/key.ts';
import type { OverrideTarget } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import type { Change, Entry, RegistryEvent } from '../registry/registry.ts';
import { createdAt } from '../registry/registry.ts';
import { type Catalog, emptyCatalog, type Folded, unchanged } from './catalog.ts';
import { Fold } from './fold.ts';
import type { CatalogLimits } from './limits.ts';
import { defaultCatalogLimits, noLimits } from './limits.ts';

/** Folds an event of the registry into the catalog. The cost grows with the changes, not with the catalog. */
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

/** The catalog of these entries, without limits, as if they were the first snapshot. */
export function foldEntries(entries: ReadonlyMap<string, Entry>): Folded {
  const { revision } = emptyCatalog;
  const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision, cluster: '', entries } as const;
  return foldEvent(emptyCatalog, snapshot, noLimits);
}

/** The changes that turn the catalog into the snapshot. An unchanged entry costs one look-up. */
function snapshotChanges(catalog: Catalog, snapshot: Extract<RegistryEvent, { kind: 'snapshot' }>): readonly Change[] {
  const changes: Change[] = [];
  const gone = (key: string) => {
    if (!snapshot.entries.has(key)) changes.push({ kind: 'delete', key, revision: snapshot.revision });
  };
  // First, so that new entries find the room that these leave.
  for (const key of catalog.accepted.keys()) gone(key);
  for (const key of catalog.rejected.keys()) if (!catalog.accepted.has(key)) gone(key);
  for (const key of waitingKeys(catalog)) if (!catalog.accepted.has(key) && !catalog.rejected.has(key)) gone(key);
  for (const service of catalog.withheld) {
    const key = policyKey(service);
    if (!catalog.rejected.has(key)) gone(key);
  }
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

function foldChanges(catalog: Catalog, changes: readonly Change[], revision: Revision, limits: CatalogLimits): Folded {
  const fold = new Fold(catalog, limits);
  for (const change of changes) {
    if (change.kind === 'put') fold.put(change.entry);
    else fold.delete(change.key);
  }
  return fold.result(revision);
}

/** Ends overrides whose time is over. Their keys may be there for a moment longer, without effect. */
export function endOverrides(catalog: Catalog, targets: Iterable<OverrideTarget>): Folded {
  const fold = new Fold(catalog, noLimits);
  for (const target of targets) fold.override(target, undefined, 'expired');
  return fold.result(catalog.revision);
}
