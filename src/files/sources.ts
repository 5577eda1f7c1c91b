import { posix } from 'node:path';
import type { Catalog } from '../catalog/catalog.ts';
import { Fault } from '../model/fault.ts';
import { withoutRawBytes } from '../model/raw-text.ts';
import type { RegistryEvent } from '../registry/registry.ts';
import type { KeySelection } from '../settings/file-declaration.ts';
import { bare } from './bare.ts';
import { foreignKeys, KeyFold, type KeysWithin, ownKeys } from './key-fold.ts';
import { type KeyNode, keyTree } from './key-tree.ts';
import { type FileView, servicesViewer } from './view.ts';

/** The parts of the registry that a file is made from. */
export type Needs = { readonly uses: ReadonlySet<string>; readonly keys: KeySelection };

/**
 * The state of the registry, for all files: the catalog, the free values under `keys/`, and parts of foreign trees.
 * Nothing is made of it before all that a file needs was read: silence is not absence.
 */
export class RegistrySources {
  readonly #services = servicesViewer();
  readonly #own = new KeyFold(ownKeys);
  readonly #foreign = new Map<string, KeyFold>();
  readonly #made = new Map<string, KeysMade>();
  readonly #env: FileView['env'];
  /** Why foreign trees, by path, may not be read. */
  readonly #denied = new Map<string, string>();
  #catalog: Catalog | undefined;

  constructor(
    foreign: Iterable<string>,
    env: Readonly<Record<string, string | undefined>>,
    keysWithin: KeysWithin = foreignKeys,
  ) {
    for (const path of foreign) this.#foreign.set(path, new KeyFold(keysWithin(path)));
    this.#env = bare(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  }

  /** Takes an event of pointsman's tree. */
  offer(event: RegistryEvent): void {
    this.#own.offer(event);
  }

  /** Takes what is served now. */
  serve(catalog: Catalog): void {
    this.#catalog = catalog;
  }

  /** Takes an event of a foreign tree; keys are those of its root. */
  offerForeign(path: string, event: RegistryEvent): void {
    if (event.kind === 'disconnected' && event.denied === true) this.#denied.set(path, event.reason);
    else if (event.kind !== 'disconnected' && event.kind !== 'connected') this.#denied.delete(path);
    this.#foreign.get(path)?.offer(event);
  }

  /** The sources of a file, to compare: equal sources make equal files. Undefined while some are not known. */
  stateOf({ uses, keys }: Needs): readonly unknown[] | undefined {
    const folds = usesKeys(uses) ? this.#foldsOf(keys) : [];
    const catalog = usesServices(uses) ? this.#catalog : undefined;
    // A catalog may come from disk; only a snapshot of the registry makes it what the registry says.
    if (usesServices(uses) && (catalog === undefined || this.#own.version === 0)) return undefined;
    if (folds.some(({ version }) => version === 0)) return undefined;
    return [catalog?.services, ...folds.map(({ version }) => version)];
  }

  /** Why a file cannot be made: the registry denies the reading of some of its keys. Undefined when it has not said so. */
  denialOf({ uses, keys }: Needs): Fault | undefined {
    if (keys.kind === 'own' || !usesKeys(uses)) return undefined;
    for (const path of foreignPathsOf(keys)) {
      const reason = this.#denied.get(path);
      if (reason === undefined || this.#foreign.get(path)?.version !== 0) continue;
      return new Fault('registry-denied', `the keys ${path || '/'} cannot be read: ${reason}`, {
        hint: 'grant the user of etcd the right to read them',
      });
    }
    return undefined;
  }

  view({ uses, keys }: Needs): FileView {
    const none = { services: [], service: {} };
    return {
      ...(usesServices(uses) && this.#catalog !== undefined ? this.#services(this.#catalog) : none),
      keys: uses.has('keys') ? this.#treeOf(keys) : keyTree([]),
      values: uses.has('values') ? this.#valuesOf(keys) : new Map(),
      env: this.#env,
    };
  }

  #foldsOf(keys: KeySelection): readonly KeyFold[] {
    if (keys.kind === 'own') return [this.#own];
    return foreignPathsOf(keys).flatMap((path) => this.#foreign.get(path) ?? []);
  }

  /** What was made of the keys as they are now. */
  #madeOf(keys: KeySelection): KeysMade {
    const name = keys.kind === 'own' ? '' : JSON.stringify([keys.prefix, ...keys.paths]);
    const versions = this.#foldsOf(keys)
      .map(({ version }) => version)
      .join();
    const known = this.#made.get(name);
    if (known?.versions === versions) return known;
    const made = { versions };
    this.#made.set(name, made);
    return made;
  }

  #valuesOf(keys: KeySelection): ReadonlyMap<string, string> {
    const made = this.#madeOf(keys);
    made.values ??= valuesByKey(this.#entriesOf(keys));
    return made.values;
  }

  #treeOf(keys: KeySelection): KeyNode {
    const made = this.#madeOf(keys);
    made.tree ??= keyTree(
      this.#entriesOf(keys).flatMap(([key, value]) =>
        key === '' ? [] : [[withoutRawBytes(key), withoutRawBytes(value)] as const],
      ),
    );
    return made.tree;
  }

  #entriesOf(keys: KeySelection): readonly (readonly [key: string, value: string])[] {
    // A foreign key begins with a slash, and the prefix has none at its end. What is the prefix has no name below it.
    // A variable of the environment is a key in small letters: a prefix with capitals is not at its beginning, and stays, as with confd.
    const nameOf = (key: string) => {
      if (keys.kind === 'own') return key;
      return (key.startsWith(keys.prefix) ? key.slice(keys.prefix.length) : key).replace(/^\//, '');
    };
    return this.#foldsOf(keys).flatMap(({ values }) =>
      [...values].map(([key, value]) => [nameOf(key), value] as const),
    );
  }
}

/** Keys as confd's store names them (path.Clean). Of `/a` and `/a/` the first one counts. */
export function valuesByKey(entries: Iterable<readonly [key: string, value: string]>): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [key, value] of entries) {
    const clean = posix.join('/', key).replace(/(?<=.)\/$/s, '');
    if (key === clean || `/${key}` === clean || !values.has(clean)) values.set(clean, value);
  }
  return values;
}

/** What was made of the keys of a selection, once somebody asked for it. */
type KeysMade = { readonly versions: string; values?: ReadonlyMap<string, string>; tree?: KeyNode };

const usesKeys = (uses: Needs['uses']): boolean => uses.has('keys') || uses.has('values');
const usesServices = (uses: Needs['uses']): boolean => uses.has('services') || uses.has('service');

/** Whether it is made of services, or of keys in pointsman's own tree. */
export const needsOwnTree = ({ uses, keys }: Needs): boolean =>
  usesServices(uses) || (usesKeys(uses) && keys.kind === 'own');

/** The keys of foreign trees that files are made of, each by its whole name, none within another. */
export function foreignPaths(selections: Iterable<KeySelection>): readonly string[] {
  const paths = new Set([...selections].flatMap((keys) => (keys.kind === 'own' ? [] : foreignPathsOf(keys))));
  return [...paths].sort();
}

const foreignPathsOf = ({ prefix, paths }: Extract<KeySelection, { kind: 'foreign' }>): readonly string[] =>
  paths.map((path) => prefix + path);
