import { describe, errorCode, Fault } from '../../model/fault.ts';
import { revision } from '../../model/revision.ts';
import type { Change } from '../registry.ts';
import { Journal, JournalGone, type JournalProgress } from './journal.ts';
import { type Draft, type JournalState, type StoredEntry, toEntry } from './journal-state.ts';
import type { DirectoryPaths } from './paths.ts';

export type LedgerEvent =
  /** The new state does not continue the former one: read the whole state. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'changes'; readonly changes: readonly Change[] }
  /**
   * Keys of a lease that this process takes for dead and cannot revoke: they vanish and return for this process only, without a
   * revision of their own.
   */
  | { readonly kind: 'muted'; readonly changes: readonly Change[] }
  | { readonly kind: 'lost'; readonly reason: string };

export type LedgerParts = {
  readonly paths: DirectoryPaths;
  /** A new random name, for authors and clusters. */
  readonly nonce: () => string;
};

// About 30,000 changes of an instance.
const sealBytes = 4 * 1024 * 1024;

/** The journal in this process: opens it, opens it again when it vanished, and reports its changes to all listeners. */
export class Ledger {
  readonly #paths: DirectoryPaths;
  readonly #nonce: () => string;
  readonly #listeners = new Set<(event: LedgerEvent) => void>();
  /** Leases that this process holds for dead and could not revoke, because it may not write here. */
  readonly #muted = new Set<string>();
  #journal: Journal | undefined;
  #pending: LedgerEvent[] = [];
  #closed = false;
  #lostBecause: string | undefined;

  constructor(parts: LedgerParts) {
    this.#paths = parts.paths;
    this.#nonce = parts.nonce;
  }

  get location(): string {
    return this.#paths.root;
  }

  /** Listeners are called one event at a time, never inside of a call to the ledger. */
  listen(listener: (event: LedgerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The newest state, read on to the end. Throws a Fault when the folder cannot be used. */
  state(): JournalState {
    return this.#guarded((journal) => {
      this.#take(journal.catchUp());
      return journal.state;
    });
  }

  /** The state that this process read last; undefined before the first read. */
  get known(): JournalState | undefined {
    return this.#journal?.state;
  }

  /** Why there is nothing to read; undefined while there is, or before it was tried. */
  get lostBecause(): string | undefined {
    return this.#lostBecause;
  }

  /** The entries that exist. Those of dead leases do not count, even if no process could revoke the leases. */
  *visible(state: JournalState): Iterable<StoredEntry> {
    for (const entry of state.entries.values()) {
      if (entry.lease === undefined || !this.#muted.has(entry.lease.id)) yield entry;
    }
  }

  /** Appends what `decide` wants on the newest state; resolves to its revision, or undefined when it wants nothing. */
  commit(decide: (state: JournalState) => Draft | undefined): number | undefined {
    return this.#guarded((journal) => {
      if (!journal.writable) {
        throw new Fault('registry-denied', 'no permission to write to the directory registry', {
          where: this.#paths.root,
          hint: 'mount the volume read-write, or give the user write permission',
        });
      }
      return journal.commit(decide, (progress) => this.#take(progress));
    }, true);
  }

  async sync(): Promise<void> {
    await this.#journal?.sync();
  }

  /** Looks whether the folder is still the same, and opens what is there now. Throws a Fault when nothing can be. */
  verify(): void {
    this.#guarded((journal) => journal.verify());
  }

  /** Hides (or shows again) the keys of a lease that cannot be revoked by this process. */
  mute(lease: string, mute: boolean): void {
    if (this.#muted.has(lease) === mute) return;
    if (mute) this.#muted.add(lease);
    else this.#muted.delete(lease);
    const state = this.known;
    const keys = state?.leases.get(lease)?.keys;
    if (state === undefined || keys === undefined) return;
    const changes: Change[] = [];
    for (const key of keys) {
      const entry = state.entries.get(key);
      if (entry === undefined) continue;
      if (mute) changes.push({ kind: 'delete', key, revision: revision(BigInt(state.revision)) });
      else changes.push({ kind: 'put', entry: toEntry(entry) });
    }
    this.#publish({ kind: 'muted', changes });
  }

  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    this.#journal?.close();
    this.#journal = undefined;
  }

  #guarded<T>(use: (journal: Journal) => T, writing = false): T {
    if (this.#closed) throw new Fault('registry-unreachable', 'the registry was closed', { where: this.#paths.root });
    try {
      try {
        return use(this.#open());
      } catch (error) {
        // ENOENT: the folder went while we were at it. Once more, on what is there now; then it is an error.
        if (!(error instanceof JournalGone) && errorCode(error) !== 'ENOENT') throw error;
        this.#lose('the folder was deleted or moved');
        return use(this.#open());
      }
    } catch (error) {
      if (error instanceof Fault) throw error;
      // A full disk refuses writes, and the state that was read stays valid.
      if (!writing || error instanceof JournalGone || this.#journal === undefined) this.#lose(describe(error));
      throw directoryFault(error, this.#paths.root);
    }
  }

  #open(): Journal {
    if (this.#journal !== undefined) return this.#journal;
    this.#journal = new Journal({ paths: this.#paths, author: this.#nonce(), newCluster: this.#nonce(), sealBytes });
    this.#lostBecause = undefined;
    this.#publish({ kind: 'reset' });
    return this.#journal;
  }

  #lose(reason: string): void {
    this.#journal?.close();
    this.#journal = undefined;
    if (this.#lostBecause === reason) return;
    this.#lostBecause = reason;
    this.#publish({ kind: 'lost', reason });
  }

  #take(progress: JournalProgress): void {
    if (!progress.continues) this.#publish({ kind: 'reset' });
    else if (progress.changes.length > 0) this.#publish({ kind: 'changes', changes: progress.changes });
    if (this.#muted.size === 0) return;
    for (const change of progress.changes) {
      // A new record under a muted lease is a sign of life.
      const lease = change.kind === 'put' ? this.known?.entries.get(change.entry.key)?.lease : undefined;
      if (lease !== undefined) this.mute(lease.id, false);
    }
  }

  #publish(event: LedgerEvent): void {
    this.#pending.push(event);
    if (this.#pending.length > 1) return;
    queueMicrotask(() => {
      const events = this.#pending;
      this.#pending = [];
      for (const one of events) for (const listener of [...this.#listeners]) listener(one);
    });
  }
}

/** An error of the file system as a Fault for the user. */
export function directoryFault(error: unknown, where: string): Fault {
  if (error instanceof Fault) return error;
  const code = errorCode(error);
  const cause = { where, cause: error };
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new Fault('registry-denied', `no permission to use the directory registry: ${describe(error)}`, {
      ...cause,
      hint: 'check the owner and permissions of the folder',
    });
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new Fault('storage', 'no space is left for the directory registry', { ...cause, hint: 'free some space' });
  }
  return new Fault('registry-unreachable', `the directory registry failed: ${describe(error)}`, cause);
}
