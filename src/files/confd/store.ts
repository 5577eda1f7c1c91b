import type { Bytes } from '../../go-template/bytes.ts';
import { GoError, GoFunction, GoList, GoStruct, type GoValue } from '../../go-template/value.ts';
import { base, clean, dir } from './go-path.ts';
import { goString } from './go-string.ts';
import { pathPattern } from './path-pattern.ts';

/** confd's store: the keys that a template sees, each an absolute path. */
export class ConfdStore {
  readonly #source: ReadonlyMap<string, string>;
  readonly #values: ReadonlyMap<Bytes, Bytes>;
  /** In the order of their bytes, so that a pattern looks only at the keys that begin as it does. */
  readonly #keys: readonly Bytes[];

  /** `before`: a store that may have the same keys, which need not be sorted again then. */
  constructor(values: ReadonlyMap<string, string>, before?: ConfdStore) {
    this.#source = values;
    this.#values = new Map([...values].map(([key, value]) => [goString(key), goString(value)]));
    const known = before === undefined ? [] : before.#keys;
    const same = known.length === this.#values.size && known.every((key) => this.#values.has(key));
    this.#keys = same ? known : [...this.#values.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  /** The store of these values: this one, if they are its own. */
  of(values: ReadonlyMap<string, string>): ConfdStore {
    return values === this.#source ? this : new ConfdStore(values, this);
  }

  value(key: Bytes): Bytes | undefined {
    return this.#values.get(key);
  }

  /** The keys that a pattern of path.Match accepts, in order. Throws GoError for a wrong pattern. */
  matching(pattern: Bytes): readonly Bytes[] {
    const compiled = pathPattern(pattern);
    if (compiled !== undefined) return this.#beginning(compiled.prefix).filter(compiled.matches);
    if (this.#keys.length === 0) return [];
    throw new GoError('syntax error in pattern');
  }

  #beginning(prefix: Bytes): readonly Bytes[] {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] ?? '') < prefix) low = middle + 1;
      else high = middle;
    }
    let end = low;
    while (this.#keys[end]?.startsWith(prefix)) end += 1;
    return this.#keys.slice(low, end);
  }

  /** The names of keys and folders in a folder. */
  list(path: Bytes): readonly Bytes[] {
    const folder = terms(path);
    const names = new Set<Bytes>();
    for (const key of this.#keys) {
      if (key === path) names.add(base(key));
      else if (startsWith(terms(dir(key)), folder)) names.add(withoutPrefix(key, path).split('/')[0] ?? '');
    }
    return [...names].sort();
  }

  /** The names of folders in a folder. */
  listFolders(path: Bytes): readonly Bytes[] {
    const folder = terms(path);
    const names = new Set<Bytes>();
    for (const key of this.#beginning(path)) {
      const parts = terms(dir(key));
      const name = parts[folder.length];
      if (name !== undefined && startsWith(parts, folder)) names.add(name);
    }
    return [...names].sort();
  }
}

const terms = (path: Bytes): readonly Bytes[] => clean(path).split('/');
const startsWith = (parts: readonly Bytes[], prefix: readonly Bytes[]): boolean =>
  prefix.every((part, i) => parts[i] === part);

function withoutPrefix(key: Bytes, prefix: Bytes): Bytes {
  const rest = key.startsWith(prefix) ? key.slice(prefix.length) : key;
  return rest.startsWith('/') ? rest.slice(1) : rest;
}

export const pairType = 'memkv.KVPair';

const pair = (key: Bytes, value: Bytes): GoStruct =>
  new GoStruct(
    pairType,
    new Map<string, GoValue>([
      ['Key', key],
      ['Value', value],
    ]),
  );

/** The functions of confd that read its store. */
export function storeFunctions(store: ConfdStore): ReadonlyMap<string, GoFunction> {
  const existing = (key: Bytes): Bytes => {
    const value = store.value(key);
    if (value === undefined) throw new GoError(`key does not exist: ${key}`);
    return value;
  };
  const strings = (list: readonly Bytes[]) => new GoList('string', [...list]);
  const of = (run: (path: Bytes) => GoValue) => new GoFunction(['string'], ([path]) => run(String(path)));
  return new Map([
    ['exists', of((key) => store.value(key) !== undefined)],
    ['get', of((key) => pair(key, existing(key)))],
    [
      'gets',
      of((pattern) => {
        const pairs = store.matching(pattern).map((key) => pair(key, existing(key)));
        return new GoList(pairType, pairs, 'memkv.KVPairs');
      }),
    ],
    [
      'getv',
      new GoFunction(
        ['string'],
        ([key, fallback]) => (fallback === undefined ? existing(String(key)) : (store.value(String(key)) ?? fallback)),
        'string',
      ),
    ],
    ['getvs', of((pattern) => strings(store.matching(pattern).map(existing).sort()))],
    ['ls', of((path) => strings(store.list(path)))],
    ['lsdir', of((path) => strings(store.listFolders(path)))],
  ]);
}
