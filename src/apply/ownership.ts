import { parseRecord } from '../model/json.ts';
import { setKey } from '../model/key.ts';
import { accepted, type Parsed, rejected } from '../model/parsed.ts';
import { parseSetName, type SetName } from '../model/set-name.ts';
import type { Entry } from '../registry/registry.ts';

/**
 * The keys that a set owns, by the number of the part: `sets/<set>/<part>` of the registry has them. Every follower of the
 * registry receives a part that changes, so one more key must not send all the others again.
 */
export type Parts = ReadonlyMap<number, readonly string[]>;

/** Which keys the sets own. */
export type Ownership = {
  readonly sets: ReadonlyMap<SetName, Parts>;
  readonly ownerOf: (key: string) => SetName | undefined;
};

/** A part as it is to be; a part without keys is removed. */
export type PartWrite = { readonly key: string; readonly value: string | undefined };

export const noOwnership: Ownership = { sets: new Map(), ownerOf: () => undefined };

/** Far below what a balancer keeps of a value (256 KiB). */
const partBytes = 32 * 1024;
/** So that one transaction of etcd has room for all parts of a set. */
export const mostSetBytes = 768 * 1024;

/**
 * Reads the entries under `sets/`. The reason names the first record that cannot be read, because nobody knows then whose its keys
 * are.
 */
export function readOwnership(entries: Iterable<Entry>): Parsed<Ownership> {
  const sets = new Map<SetName, Map<number, readonly string[]>>();
  const owners = new Map<string, SetName>();
  for (const { key, value } of entries) {
    if (!key.startsWith('sets/')) continue;
    const [, name = '', part = '', ...rest] = key.split('/');
    const set = parseSetName(name);
    const keys = parseKeys(value);
    if (!keys.ok) return rejected(`${key} is not a record of a set: ${keys.reason}`);
    if (!set.ok || !/^[1-9][0-9]{0,3}$/.test(part) || rest.length > 0) {
      return rejected(`${key} is not a record of a set, which is sets/<set>/<number>`);
    }
    const parts = sets.get(set.value) ?? new Map<number, readonly string[]>();
    sets.set(set.value, parts.set(Number(part), keys.value));
    for (const owned of keys.value) owners.set(owned, set.value);
  }
  return accepted({ sets, ownerOf: (key) => owners.get(key) });
}

export const ownedKeys = (parts: Parts | undefined): ReadonlySet<string> =>
  new Set([...(parts?.values() ?? [])].flat());

/** The parts of a set that owns exactly these keys. A key stays in its part, so that few parts change. */
export function partsFor(wanted: ReadonlySet<string>, before: Parts = new Map()): Parts {
  const parts = new Map<number, { readonly keys: string[]; bytes: number }>();
  const placed = new Set<string>();
  for (const [number, keys] of before) {
    const kept = keys.filter((key) => wanted.has(key) && !placed.has(key));
    for (const key of kept) placed.add(key);
    parts.set(number, { keys: kept, bytes: bytesOf(kept) });
  }
  let open = 1;
  for (const key of [...wanted].sort()) {
    if (placed.has(key)) continue;
    const bytes = bytesOf([key]);
    while ((parts.get(open)?.bytes ?? 0) + bytes > partBytes) open += 1;
    const part = parts.get(open) ?? { keys: [], bytes: 0 };
    part.keys.push(key);
    part.bytes += bytes;
    parts.set(open, part);
  }
  return new Map([...parts].flatMap(([number, { keys }]) => (keys.length === 0 ? [] : [[number, keys.sort()]])));
}

/** The writes that make `after` of `before`. */
export function partWrites(set: SetName, before: Parts | undefined, after: Parts): readonly PartWrite[] {
  const value = (keys: readonly string[] | undefined) => keys && formatKeys(keys);
  return [...new Set([...(before?.keys() ?? []), ...after.keys()])].flatMap((part) => {
    const wanted = value(after.get(part));
    return wanted === value(before?.get(part)) ? [] : [{ key: setKey(set, part), value: wanted }];
  });
}

/** The size of a record that lists these keys. */
export function bytesOf(keys: Iterable<string>): number {
  let bytes = 0;
  for (const key of keys) bytes += Buffer.byteLength(key) + 3;
  return bytes;
}

const formatKeys = (keys: readonly string[]): string => JSON.stringify({ keys });

function parseKeys(value: string): Parsed<readonly string[]> {
  const record = parseRecord(value);
  if (!record.ok) return record;
  const keys = record.value.get('keys');
  return Array.isArray(keys) && keys.every((key) => typeof key === 'string')
    ? accepted(keys)
    : rejected('"keys" is not a list of keys');
}
