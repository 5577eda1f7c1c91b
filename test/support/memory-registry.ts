import { revision } from '../../src/model/revision.ts';
import { type Change, type Entry, isWithin, type Registry, type RegistryEvent, type Transaction } from '../../src/registry/registry.ts'; // biome-ignore format: one line

/** A registry in memory, for unit tests. `onRead` runs after each read below a prefix, before the reader writes. */
export class MemoryRegistry {
  readonly entries = new Map<string, Entry>();
  readonly transactions: Transaction[] = [];
  onRead: (prefix: string) => void = () => undefined;
  readonly #followers = new Set<(changes: readonly Change[]) => void>();
  #revision = 1n;

  put(key: string, value: string, leased = false): void {
    this.#change([{ key, value, leased }]);
  }

  get registry(): Registry {
    const port: Pick<Registry, 'read' | 'transact' | 'follow' | 'openSession'> = {
      read: async (prefix) => {
        const entries = [...this.entries.values()].filter(({ key }) => key.startsWith(prefix));
        const listing = { revision: revision(this.#revision), cluster: 'c', entries };
        this.onRead(prefix);
        return listing;
      },
      transact: async (transaction) => this.#transact(transaction),
      follow: (onEvent, range) => this.#follow(onEvent, range),
      openSession: () => ({
        put: async (key, value) => this.#change([{ key, value, leased: true }]),
        remove: async (key) => this.#change([{ key, value: undefined }]),
        // As an agent that restarts: its keys stay until their lease ends.
        close: async () => undefined,
      }),
    };
    return port as Registry;
  }

  #change(changes: readonly { readonly key: string; readonly value: string | undefined; readonly leased?: boolean }[]) {
    this.#revision += 1n;
    const now = revision(this.#revision);
    const told = changes.map(({ key, value, leased = false }): Change => {
      if (value === undefined) {
        this.entries.delete(key);
        return { kind: 'delete', key, revision: now };
      }
      const entry = { key, value, revision: now, leased };
      this.entries.set(key, entry);
      return { kind: 'put', entry };
    });
    for (const tell of this.#followers) setImmediate(() => tell(told));
    return now;
  }

  #transact(transaction: Transaction): Awaited<ReturnType<Registry['transact']>> {
    const { changes, unwritten } = transaction;
    const changed = changes.filter(({ key, since }) => this.entries.get(key)?.revision !== since);
    const written = [...this.entries.values()].filter(
      (one) =>
        unwritten && one.revision > unwritten.since && unwritten.ranges.some((range) => isWithin(range, one.key)),
    );
    const keys = [...new Set([...changed, ...written].map(({ key }) => key))];
    if (keys.length > 0) return { kind: 'changed', keys };
    this.transactions.push(transaction);
    return { kind: 'done', revision: this.#change(changes) };
  }

  #follow(...[onEvent, range]: Parameters<Registry['follow']>): ReturnType<Registry['follow']> {
    let closed = false;
    const tell = (event: RegistryEvent) => {
      if (!closed) onEvent(event);
    };
    const isOurs = (key: string) => range === undefined || isWithin(range, key);
    const onChanges = (all: readonly Change[]) => {
      const changes = all.filter((change) => isOurs(change.kind === 'put' ? change.entry.key : change.key));
      if (changes.length > 0) tell({ kind: 'changes', revision: revision(this.#revision), changes });
    };
    setImmediate(() => {
      const entries = new Map([...this.entries].filter(([key]) => isOurs(key)));
      tell({ kind: 'connected', member: 'memory' });
      tell({ kind: 'snapshot', revision: revision(this.#revision), cluster: 'c', history: { kind: 'first' }, entries });
      this.#followers.add(onChanges);
    });
    return {
      close: async () => {
        closed = true;
        this.#followers.delete(onChanges);
      },
    };
  }
}
