import type { IEvent } from 'etcd3';
import type { KeySpace } from './key-space.ts';

/**
 * Whether each change continues the one before. etcd counts the changes of a key since it was created, and each event has the
 * count. So a change that did not arrive (because of a fault in etcd, such as etcd-io/etcd#18089, or in between) is noticed at
 * the next change of its key. The exception is a value that was deleted before it was delivered, which makes no difference.
 */
export class Continuity {
  readonly #keys: KeySpace;
  /** How often each key was changed since it was created. */
  readonly #versions: Map<string, number>;

  constructor(keys: KeySpace, versions: Iterable<readonly [key: string, version: number]>) {
    this.#keys = keys;
    this.#versions = new Map(versions);
  }

  /** How many keys there are. */
  get size(): number {
    return this.#versions.size;
  }

  /** How often this key was changed since it was created; undefined when it is not there. */
  version(key: string): number | undefined {
    return this.#versions.get(key);
  }

  /** Takes delivered events in order. Returns a key with a missing change: then no entry can be trusted. */
  take(events: readonly IEvent[]): string | undefined {
    for (const { type, kv } of events) {
      const key = this.#keys.fromBytes(kv.key);
      if (type === 'Delete') {
        if (!this.#versions.delete(key)) return key;
      } else {
        const version = Number(kv.version);
        if (version !== (this.#versions.get(key) ?? 0) + 1) return key;
        this.#versions.set(key, version);
      }
    }
    return undefined;
  }
}
