import { type Revision, revision } from '../../model/revision.ts';
import {
  type Change,
  type Entry,
  type Follower,
  historyOf,
  isWithin,
  type KeyRange,
  type RegistryEvent,
} from '../registry.ts';
import { toEntry } from './journal-state.ts';
import type { Ledger, LedgerEvent } from './ledger.ts';

// When the folder was deleted and made again, live sessions put their keys again as soon as they notice (250 ms). A snapshot
// before that would have no entries.
const recoveryMs = 1000;

export type FollowerParts = {
  readonly ledger: Ledger;
  readonly range: KeyRange;
  readonly onEvent: (event: RegistryEvent) => void;
  readonly onClose: () => Promise<void>;
};

/** Delivers the ledger's events to one follower: a snapshot, then the changes that continue it. */
export class DirectoryFollower implements Follower {
  readonly #ledger: Ledger;
  readonly #range: KeyRange;
  readonly #onEvent: (event: RegistryEvent) => void;
  readonly #stopListening: () => void;
  readonly #onClose: () => Promise<void>;
  #delivered: { cluster: string; revision: Revision } | undefined;
  #begun = false;
  #connected = false;
  #live = false;
  #closed = false;
  #recovery: NodeJS.Timeout | undefined;

  constructor({ ledger, range, onEvent, onClose }: FollowerParts) {
    this.#ledger = ledger;
    this.#range = range;
    this.#onEvent = onEvent;
    this.#onClose = onClose;
    this.#stopListening = ledger.listen((event) => this.#take(event));
  }

  /** To be called when the ledger has seen the tree: from here on events flow. */
  begin(): void {
    if (this.#closed) return;
    this.#begun = true;
    const reason = this.#ledger.lostBecause;
    if (reason !== undefined) this.#onEvent({ kind: 'disconnected', reason });
    else this.#snapshot();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#recovery);
    this.#stopListening();
    await this.#onClose();
  }

  #take(event: LedgerEvent): void {
    if (this.#closed) return;
    switch (event.kind) {
      case 'lost':
        clearTimeout(this.#recovery);
        this.#live = false;
        this.#connected = false;
        this.#onEvent({ kind: 'disconnected', reason: event.reason });
        break;
      case 'reset':
        this.#snapshot();
        break;
      case 'changes':
        this.#changes(event.changes);
        break;
      case 'muted':
        this.#muted(event.changes);
    }
  }

  #snapshot(): void {
    const state = this.#ledger.known;
    if (state?.cluster === undefined || this.#closed || !this.#begun) return;
    clearTimeout(this.#recovery);
    if (this.#delivered !== undefined && this.#delivered.cluster !== state.cluster) {
      this.#live = false;
      this.#recovery = setTimeout(() => this.#deliverSnapshot(), recoveryMs);
      return;
    }
    this.#deliverSnapshot();
  }

  #deliverSnapshot(): void {
    const state = this.#ledger.known;
    if (state?.cluster === undefined || this.#closed) return;
    if (!this.#connected) this.#onEvent({ kind: 'connected', member: this.#ledger.location });
    this.#connected = true;
    this.#live = true;
    const at = revision(BigInt(state.revision));
    const history = historyOf(this.#delivered, { cluster: state.cluster, revision: at });
    this.#delivered = { cluster: state.cluster, revision: at };
    const entries = new Map<string, Entry>();
    for (const entry of this.#ledger.visible(state)) {
      if (isWithin(this.#range, entry.key)) entries.set(entry.key, toEntry(entry));
    }
    if (!this.#closed) this.#onEvent({ kind: 'snapshot', revision: at, cluster: state.cluster, history, entries });
  }

  #changes(changes: readonly Change[]): void {
    if (!this.#live || this.#delivered === undefined) return;
    // A snapshot is made of the newest state, so changes that were on their way then are in it already.
    const { cluster, revision: known } = this.#delivered;
    const fresh = changes.filter((change) => revisionOf(change) > known && this.#concerns(change));
    const last = fresh.at(-1);
    if (last === undefined) return;
    this.#delivered = { cluster, revision: revisionOf(last) };
    this.#onEvent({ kind: 'changes', revision: revisionOf(last), changes: fresh });
  }

  #muted(muted: readonly Change[]): void {
    if (!this.#live || this.#delivered === undefined) return;
    const changes = muted.filter((change) => this.#concerns(change));
    if (changes.length > 0) this.#onEvent({ kind: 'changes', revision: this.#delivered.revision, changes });
  }

  #concerns(change: Change): boolean {
    return isWithin(this.#range, change.kind === 'put' ? change.entry.key : change.key);
  }
}

const revisionOf = (change: Change): Revision => (change.kind === 'put' ? change.entry.revision : change.revision);
