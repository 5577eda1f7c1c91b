import type { Catalog, Folded, Unserved } from '../../catalog/catalog.ts';
import { endOverrides, foldEvent } from '../../catalog/fold-event.ts';
import type { CatalogLimits } from '../../catalog/limits.ts';
import { overrideEnd } from '../../catalog/overrides.ts';
import { DirtySetBuilder } from '../../model/dirty-set.ts';
import { revision } from '../../model/revision.ts';
import { type Change, createdAt, type RegistryEvent } from '../../registry/registry.ts';
import type { Templates } from '../../render/render.ts';
import type { Locating } from '../addresses/locating.ts';
import type { Ejecting } from '../ejection/ejecting.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { HeldEntries } from '../guard/held-entries.ts';
import type { OpenFilesLimit } from '../open-files/open-files-limit.ts';
import type { Requested } from '../quarantine/quarantine.ts';
import type { EntryChange } from './plan-answer.ts';
import { piecesOf, type Turns } from './turns.ts';

export type PlannedCatalogParts = {
  readonly guarding: Pick<Guarding, 'guarded' | 'preview'>;
  readonly ejecting: Pick<Ejecting, 'ejected'>;
  readonly locating: Pick<Locating, 'located' | 'preview'>;
  readonly openFiles: Pick<OpenFilesLimit, 'preview'>;
  readonly heldEntries: Pick<HeldEntries, 'holder' | 'preview'>;
  readonly limits: CatalogLimits;
  readonly wall: () => Date;
};

/** The changes that are folded without a pause in between. */
const mostChanges = 50;

/** The event that the balancer would get for these changes, and the deleted keys that it would hold. */
export function eventOf(
  { heldEntries }: PlannedCatalogParts,
  planned: readonly EntryChange[],
  { revision: current }: Catalog,
): { readonly event: RegistryEvent | undefined; readonly held: readonly string[] } {
  const next = revision(current + 1n);
  const changes = planned.map(({ key, value }): Change => {
    if (value === undefined) return { kind: 'delete', key, revision: next };
    const known = heldEntries.holder.entries.get(key);
    const created = known === undefined ? {} : { created: createdAt(known) };
    return { kind: 'put', entry: { key, value, revision: next, leased: false, ...created } };
  });
  return heldEntries.preview({ kind: 'changes', revision: next, changes });
}

/** Folds the event into the catalog, some changes at a time, and ends the overrides whose time is over. */
export async function foldedWith(
  { limits, wall }: PlannedCatalogParts,
  before: Catalog,
  event: RegistryEvent | undefined,
  turns: Turns,
): Promise<Folded> {
  const dirty = new DirtySetBuilder();
  const [rejections, removals, overrides]: [Folded['rejections'][], Folded['removals'][], Folded['overrides'][]] = [
    [],
    [],
    [],
  ];
  let catalog = before;
  let changes = 0;
  const take = (folded: Folded): void => {
    catalog = folded.catalog;
    changes += folded.changes;
    dirty.add(folded.dirty);
    rejections.push(folded.rejections);
    removals.push(folded.removals);
    overrides.push(folded.overrides);
  };
  for (const some of piecesOf(event?.kind === 'changes' ? event.changes : [], mostChanges)) {
    await turns.next();
    take(
      foldEvent(
        catalog,
        { kind: 'changes', revision: event?.kind === 'changes' ? event.revision : before.revision, changes: some },
        limits,
      ),
    );
  }
  const clocks = { now: 0, wall: wall().getTime() };
  const over = overrides
    .flat()
    .filter(({ kind, override }) => kind === 'began' && (overrideEnd(override, true, clocks) ?? 1) <= 0);
  if (over.length > 0) take(endOverrides(catalog, over));
  return {
    ...{ catalog, changes, dirty: dirty.take() },
    ...{ rejections: rejections.flat(), removals: removals.flat(), overrides: overrides.flat() },
  };
}

/** The catalog that would be requested, and the instances that would not be served. */
export async function requestedWith(
  { guarding, ejecting, locating, openFiles }: PlannedCatalogParts,
  { catalog: before, templates }: { readonly catalog: Catalog; readonly templates: Templates },
  folded: Folded,
  turns: Turns,
): Promise<{ readonly requested: Requested; readonly unserved: readonly Unserved[] }> {
  const guarded = ejecting.ejected(guarding.preview(folded));
  const unserved: Unserved[] = [];
  // The addresses of services that do not differ are as they are now.
  const services = locating.located(ejecting.ejected(guarding.guarded(before))).services.asMutable();
  for (const name of folded.dirty.keys()) {
    const service = guarded.services.get(name);
    if (service === undefined) {
      services.delete(name);
      continue;
    }
    await turns.next();
    const found = locating.preview(service);
    services.set(name, found.located);
    unserved.push(...found.unserved);
  }
  const limited = openFiles.preview({ ...guarded, services: services.asImmutable() }, folded.dirty.keys());
  return { requested: { catalog: limited.catalog, templates }, unserved: [...unserved, ...limited.unserved] };
}
