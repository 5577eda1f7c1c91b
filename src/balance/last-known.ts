import * as v from 'valibot';
import { type Catalog, emptyCatalog, foldEvent } from '../catalog/catalog.ts';
import type { CatalogLimits } from '../catalog/limits.ts';
import { replaceFile } from '../files/replace-file.ts';
import { revision } from '../model/revision.ts';
import type { Entry } from '../registry/registry.ts';
import { readSaved, type Unusable } from './saved-file.ts';

const schema = v.object({
  format: v.literal(1),
  savedAt: v.pipe(v.string(), v.isoTimestamp()),
  revision: v.string(),
  cluster: v.optional(v.string()),
  entries: v.array(v.tuple([v.string(), v.string(), v.string(), v.boolean()])),
});

/** The catalog as it was when it was last saved, and when that was. */
export type LastKnown = { readonly catalog: Catalog; readonly savedAt: Date };

/** Keeps what was accepted last, so that a restart while the registry is away has something to serve. */
export async function saveLastKnown(path: string, catalog: Catalog, savedAt: Date): Promise<void> {
  const entries = catalog.accepted
    .valueSeq()
    .map(({ key, value, revision, leased }) => [key, value, String(revision), leased])
    .toArray();
  const { cluster } = catalog;
  const saved = { format: 1, savedAt: savedAt.toISOString(), revision: String(catalog.revision), cluster, entries };
  // Metadata and addresses of a whole fleet: for the owner only.
  await replaceFile(path, JSON.stringify(saved), { mode: 0o600 });
}

/** Undefined when there is none; a reason when there is one that cannot be used. */
export function loadLastKnown(path: string, limits: CatalogLimits): Promise<LastKnown | Unusable | undefined> {
  return readSaved(path, (json): LastKnown => {
    const saved = v.parse(schema, json);
    const entries = new Map<string, Entry>();
    for (const [key, value, at, leased] of saved.entries)
      entries.set(key, { key, value, revision: revision(at), leased });
    const cluster = saved.cluster ?? '';
    const snapshot = {
      kind: 'snapshot',
      history: { kind: 'first' },
      revision: revision(saved.revision),
      cluster,
      entries,
    } as const;
    const { catalog } = foldEvent(emptyCatalog, snapshot, limits);
    return { catalog, savedAt: new Date(saved.savedAt) };
  });
}
