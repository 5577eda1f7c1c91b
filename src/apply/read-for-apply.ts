import type { Declared } from '../declarations/declared.ts';
import { areaOfKey } from '../model/key.ts';
import type { SetName } from '../model/set-name.ts';
import type { Entry, Listing, Registry } from '../registry/registry.ts';
import { ownedKeys, readOwnership } from './ownership.ts';

/** An area with more folders is read as a whole. */
const mostFolders = 8;

export type ReadForApply = {
  readonly listing: Listing;
  /** Everything that begins with these was read. */
  readonly prefixes: readonly string[];
};

/**
 * Reads what `planApply` compares with: the records of all sets, and around the keys that are declared or owned. The records are
 * read first, and the revision is theirs: whatever is written after it is noticed when the changes are.
 */
export async function readForApply(
  registry: Registry,
  declared: readonly Declared[],
  set: SetName,
  signal?: AbortSignal,
): Promise<ReadForApply> {
  const records = await registry.read('sets/', signal);
  const ownership = readOwnership(records.entries);
  const owned = ownership.ok ? ownedKeys(ownership.value.sets.get(set)) : new Set<string>();
  const keys = new Set([...declared.map(({ key }) => key), ...owned]);
  const prefixes = prefixesOf(keys);
  const listings = await Promise.all(prefixes.map((prefix) => registry.read(prefix, signal)));
  const entries = new Map<string, Entry>(records.entries.map((entry) => [entry.key, entry]));
  for (const { entries: found } of listings) {
    for (const entry of found) if (keys.has(entry.key)) entries.set(entry.key, entry);
  }
  return { listing: { ...records, entries: [...entries.values()] }, prefixes };
}

/** Prefixes that all of the keys begin with, as long as they can be: a user may have the right to read nothing else. */
export function prefixesOf(keys: Iterable<string>): readonly string[] {
  const areas = new Map<string, Map<string, string>>();
  for (const key of keys) {
    const area = areaOfKey(key);
    const [, name = '', ...rest] = key.split('/');
    const folder = rest.length === 0 ? `${area}/` : `${area}/${name}/`;
    const folders = areas.get(area) ?? new Map<string, string>();
    areas.set(area, folders.set(folder, commonStart(folders.get(folder) ?? key, key)));
  }
  return [...areas].flatMap(([area, folders]) =>
    folders.size > mostFolders ? [`${area}/`] : [...new Set(folders.values())],
  );
}

function commonStart(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return one.slice(0, length);
}
