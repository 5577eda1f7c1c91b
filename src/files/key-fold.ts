import { type Change, type KeyRange, type RegistryEvent, wholeTree } from '../registry/registry.ts';

/** The keys and values of one part of a tree, folded from its events. */
export class KeyFold {
  readonly #nameOf: (key: string) => string | undefined;
  #values = new Map<string, string>();
  #version = 0;

  /** `nameOf` gives what a key is called here; undefined for one of another part. */
  constructor(nameOf: (key: string) => string | undefined) {
    this.#nameOf = nameOf;
  }

  get values(): ReadonlyMap<string, string> {
    return this.#values;
  }

  /** Another number whenever something differs; 0 as long as nothing is known. */
  get version(): number {
    return this.#version;
  }

  offer(event: RegistryEvent): void {
    switch (event.kind) {
      case 'snapshot': {
        const values = new Map<string, string>();
        for (const { key, value } of event.entries.values()) {
          const name = this.#nameOf(key);
          if (name !== undefined) values.set(name, value);
        }
        if (this.#version > 0 && equal(this.#values, values)) return;
        this.#values = values;
        this.#version += 1;
        return;
      }
      case 'changes':
        if (event.changes.map((change) => this.#take(change)).includes(true)) this.#version += 1;
        return;
      case 'progress':
      case 'connected':
      case 'disconnected':
    }
  }

  /** Whether it made a difference. */
  #take(change: Change): boolean {
    const name = this.#nameOf(change.kind === 'put' ? change.entry.key : change.key);
    if (name === undefined) return false;
    if (change.kind === 'delete') return this.#values.delete(name);
    if (this.#values.get(name) === change.entry.value) return false;
    this.#values.set(name, change.entry.value);
    return true;
  }
}

function equal(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}

/** `keys/…` of pointsman's own tree, without that. */
export const ownKeys = (key: string): string | undefined =>
  key.startsWith('keys/') ? key.slice('keys/'.length) : undefined;

/** A key `/services/web` of a foreign tree and what is below it, but not its neighbour `/services/web2`. */
export const foreignKeys: KeysWithin =
  (path) =>
  (key): string | undefined =>
    `/${key}` === path || `/${key}`.startsWith(`${path}/`) ? `/${key}` : undefined;

/** How the keys of one part of a foreign tree are called; undefined for a key of another part. */
export type KeysWithin = (path: string) => (key: string) => string | undefined;

/** The least range that holds a foreign key and what is below it; keys there have no slash first. */
export function foreignRange(path: string): KeyRange {
  const first = path.slice(1);
  // "0" is the character after "/".
  return first === '' ? wholeTree : { first, end: `${first}0` };
}
