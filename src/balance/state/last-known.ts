import * as v from 'valibot';
import { type Catalog, emptyCatalog, rejectionOf } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import type { CatalogLimits } from '../../catalog/limits.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { policyKey } from '../../model/key.ts';
import { revision } from '../../model/revision.ts';
import type { Entry, Held, HistoryPoint } from '../../registry/registry.ts';
import { linesOf, readSaved, type Unusable } from './saved-file.ts';

const timestamp = v.pipe(v.string(), v.isoTimestamp());
/** Key, value, revision, whether it is under a lease; then the revision of the key's creation, if that is another one. */
const entry = v.tupleWithRest([v.string(), v.string(), v.string(), v.boolean()], v.string());
const held = v.object({
  kind: v.picklist(['replaced', 'deleted']),
  reason: v.string(),
  at: timestamp,
  /** By the wall clock: the monotonic clock begins again with each process. */
  until: v.optional(timestamp),
  keys: v.array(v.string()),
});
const schema = v.object({
  format: v.literal(1),
  savedAt: timestamp,
  revision: v.string(),
  cluster: v.optional(v.string()),
  registry: v.optional(v.string()),
  entries: v.array(entry),
  /** Free values, under `keys/`. */
  values: v.optional(v.array(entry), []),
  /** The keys of held entries, and why each is held. */
  held: v.optional(v.array(held), []),
  /** The services whose policy was not accepted, and why. */
  withheld: v.optional(v.array(v.tuple([v.string(), v.string()])), []),
});

/** The last saved catalog, and the time when it was saved. */
export type LastKnown = {
  readonly catalog: Catalog;
  readonly savedAt: Date;
  /** Undefined when it was saved before the registry was connected. */
  readonly point: HistoryPoint | undefined;
  /** The location of the registry; undefined when an older version saved it. */
  readonly registry: string | undefined;
  /** The entries of the catalog, and the free values. */
  readonly entries: readonly Entry[];
};

type Kept = { readonly catalog: Catalog; readonly values: readonly Entry[]; readonly registry?: string | undefined };
type Clocks = { readonly now: number; readonly wall: Date };

/** Characters that are written at once. A longer piece would block the balancer while it is made. */
const pieceLength = 65_536;

/** Saves the catalog, so that a restart can serve while the registry is unavailable. */
export async function saveLastKnown(path: string, kept: Kept, clocks: Clocks): Promise<void> {
  // Metadata and addresses of a whole fleet: for the owner only.
  await replaceFile(path, inPieces(savedText(kept, clocks)), { mode: 0o600 });
}

/**
 * The JSON, in pieces with one entry on each line: the whole may be longer than a string can be. The JSON of an entry has no line end.
 */
function* savedText({ catalog, values, registry }: Kept, clocks: Clocks): Generator<string> {
  const head = {
    format: 1,
    savedAt: clocks.wall.toISOString(),
    revision: String(catalog.revision),
    cluster: catalog.cluster,
    registry,
  };
  yield JSON.stringify(head).slice(0, -1);
  yield ',"entries":[\n';
  yield* savedEntries(catalog.accepted.values());
  yield '\n],"values":[\n';
  yield* savedEntries(values);
  const holds = savedHolds([...catalog.accepted.values(), ...values], clocks);
  yield `\n],"held":${JSON.stringify(holds)},"withheld":${JSON.stringify(savedWithheld(catalog))}}`;
}

function savedWithheld(catalog: Catalog): readonly (readonly [string, string])[] {
  const reasonOf = (key: string) => rejectionOf(catalog, key)?.reason ?? 'it was rejected before this start';
  return [...catalog.withheld].map((service) => [service, reasonOf(policyKey(service))]);
}

function* savedEntries(entries: Iterable<Entry>): Generator<string> {
  let before = '';
  for (const { key, value, revision, leased, created } of entries) {
    const saved = [key, value, String(revision), leased, ...(created === undefined ? [] : [String(created)])];
    yield before + JSON.stringify(saved);
    before = ',\n';
  }
}

function* inPieces(texts: Iterable<string>): Generator<string> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length < pieceLength) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

function savedHolds(entries: readonly Entry[], { now, wall }: Clocks): readonly v.InferInput<typeof held>[] {
  const keys = new Map<Held, string[]>();
  for (const one of entries) {
    if (one.held === undefined) continue;
    const known = keys.get(one.held);
    if (known === undefined) keys.set(one.held, [one.key]);
    else known.push(one.key);
  }
  return [...keys].map(([{ kind, reason, at, until }, held]) => ({
    kind,
    reason,
    at: new Date(at).toISOString(),
    until: until === undefined ? undefined : new Date(wall.getTime() + until - now).toISOString(),
    keys: held,
  }));
}

/**
 * Returns undefined when there is no file, and a reason when the file cannot be used. `holdMs` is the longest time that an entry is
 * held after it vanished; undefined: until an operator releases it.
 */
export function loadLastKnown(
  path: string,
  limits: CatalogLimits,
  { now, wall, holdMs }: Clocks & { readonly holdMs: number | undefined },
): Promise<LastKnown | Unusable | undefined> {
  return readSaved(path, (json) => toLastKnown(v.parse(schema, json), limits, { now, wall, holdMs }), readText);
}

function toLastKnown(
  saved: v.InferOutput<typeof schema>,
  limits: CatalogLimits,
  { now, wall, holdMs }: Clocks & { readonly holdMs: number | undefined },
): LastKnown {
  const because = new Map<string, Held>();
  for (const { kind, reason, at, until, keys } of saved.held) {
    // If the clock was set back, an entry is held no longer than `holdMs`.
    const left = until === undefined ? holdMs : Math.min(Date.parse(until) - wall.getTime(), holdMs ?? 0);
    const one: Held = {
      kind,
      reason,
      at: Date.parse(at),
      until: holdMs === undefined ? undefined : now + (left ?? 0),
    };
    for (const key of keys) because.set(key, one);
  }
  const toEntry = ([key, value, at, leased, first]: v.InferOutput<typeof entry>): Entry => {
    const held = because.get(key);
    const created = first === undefined ? {} : { created: revision(first) };
    return { key, value, revision: revision(at), ...created, leased, ...(held === undefined ? {} : { held }) };
  };
  const entries = new Map(saved.entries.map(toEntry).map((one) => [one.key, one]));
  const { cluster = '', registry } = saved;
  const at = revision(saved.revision);
  for (const [service, reason] of saved.withheld) {
    const key = policyKey(service);
    entries.set(key, { key, value: '', revision: at, leased: false, rejected: reason });
  }
  const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision: at, cluster, entries } as const;
  const { catalog } = foldEvent(emptyCatalog, snapshot, limits);
  return {
    catalog,
    savedAt: new Date(saved.savedAt),
    point: cluster === '' ? undefined : { cluster, revision: at },
    registry,
    entries: [...catalog.accepted.values(), ...saved.values.map(toEntry)],
  };
}

/** Reads the JSON that `savedText` writes, and the single line that an earlier version wrote. */
async function readText(path: string): Promise<unknown> {
  const lists: unknown[][] = [];
  let rest = '';
  for await (const line of linesOf(path)) {
    if (line.startsWith('[')) lists.at(-1)?.push(JSON.parse(line.endsWith(',') ? line.slice(0, -1) : line));
    else if (line !== '') {
      rest += line;
      lists.push([]);
    }
  }
  const json: unknown = JSON.parse(rest);
  const [entries, values] = lists;
  return lists.length === 3 ? { ...Object(json), entries, values } : json;
}

/**
 * Whether the saved catalog is of this registry: it has the same location, although the registry may have been wiped since, or the
 * same cluster and root, which may have other addresses now.
 */
export function isOfRegistry(
  { registry, point }: Pick<LastKnown, 'registry' | 'point'>,
  now: { readonly location: string; readonly cluster: string },
): boolean {
  if (registry === now.location) return true;
  return point?.cluster === now.cluster && (registry === undefined || rootIn(registry) === rootIn(now.location));
}

/** `/pointsman/` of `etcd://10.0.0.1:2379/pointsman/`. */
const rootIn = (location: string): string => location.replace(/^[a-z+]+:\/\/[^/]*/, '');
