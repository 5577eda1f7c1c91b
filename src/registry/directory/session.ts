import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { describe, Fault } from '../../model/fault.ts';
import { type Revision, revision } from '../../model/revision.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import { ownedFault, type Session, type SessionOptions } from '../registry.ts';
import type { LeaseReference, StoredEntry } from './journal-state.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import type { DirectoryTree } from './tree.ts';

export type DirectorySessionParts = {
  readonly ledger: Ledger;
  readonly tree: DirectoryTree;
  readonly leases: Leases;
  readonly logger: Logger;
  readonly random: () => number;
  readonly lease: LeaseReference;
  readonly options: SessionOptions;
  readonly onClose: () => Promise<void>;
};

const retry = { firstMs: 75, mostMs: 3000, jitter: 2 / 3 };
// Without a word from the caller, how long a revocation may take before the keys are left to expire.
const revokeMs = 5000;

/** Keys under one lease file that this process touches every third of the TTL. */
export class DirectorySession implements Session {
  readonly #parts: DirectorySessionParts;
  /** The keys of this session, which it puts again when they vanish. */
  readonly #held = new Map<string, string>();
  readonly #restoring = new Set<string>();
  readonly #stopListening: () => void;
  readonly #ended = new AbortController();
  #beat: NodeJS.Timeout | undefined;
  #granting: Promise<void> | undefined;
  #unreachable = false;
  #closing = false;

  constructor(parts: DirectorySessionParts) {
    this.#parts = parts;
    this.#stopListening = parts.ledger.listen((event) => {
      switch (event.kind) {
        case 'reset':
          return this.#checkAll();
        case 'changes':
          for (const change of event.changes) this.#check(change.kind === 'put' ? change.entry.key : change.key);
          return;
        case 'muted':
          return;
        case 'lost':
          return this.#setUnreachable(event.reason);
      }
    });
  }

  async put(key: string, value: string, signal?: AbortSignal): Promise<Revision> {
    const at = await this.#persist(signal, async () => {
      await this.#grant();
      return this.#putOnce(key, value);
    });
    return revision(BigInt(at));
  }

  async remove(key: string, signal?: AbortSignal): Promise<Revision | undefined> {
    this.#held.delete(key);
    const { tree } = this.#parts;
    const at = await this.#persist(signal, () =>
      tree.remove(key, (present) => {
        // Again: a put of this key may have ended meanwhile.
        this.#held.delete(key);
        return this.#isOurs(present);
      }),
    );
    return at === undefined ? undefined : revision(BigInt(at));
  }

  async close(signal?: AbortSignal): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#held.clear();
    const limit = timeLimit(revokeMs, signal);
    const { leases, lease, logger, onClose } = this.#parts;
    try {
      await this.#persist(limit, () => leases.revoke(lease.id));
    } catch (error) {
      logger.warn(
        { event: 'revoke-failed', reason: describe(error) },
        'the keys of this session stay until their lease expires',
      );
    }
    this.abandon();
    await onClose();
  }

  /** Stops at once and leaves the keys to expire. */
  abandon(): void {
    this.#ended.abort();
    clearTimeout(this.#beat);
    this.#stopListening();
  }

  #isOurs(present: StoredEntry): boolean {
    return present.lease?.id === this.#parts.lease.id;
  }

  async #putOnce(key: string, value: string): Promise<number> {
    const { tree, lease, options } = this.#parts;
    const at = await tree.put({
      key,
      value,
      lease,
      may: (present) => {
        if (this.#closing) throw new Fault('usage', 'the session was closed', { where: key });
        if (present === undefined || this.#isOurs(present) || options.mayReplace(key, present.value)) return true;
        throw ownedFault(key, present.value);
      },
    });
    if (at === undefined) throw new Error('a put that may replace what stands there has a revision');
    if (!this.#closing) this.#held.set(key, value);
    return at;
  }

  /** The lease begins with its first key. */
  #grant(): Promise<void> {
    this.#granting ??= this.#beatNow().then(
      () => {
        this.#parts.options.onEvent({ kind: 'granted', lease: this.#parts.lease.id });
        this.#nextBeat();
      },
      (error: unknown) => {
        this.#granting = undefined;
        throw error;
      },
    );
    return this.#granting;
  }

  async #beatNow(): Promise<void> {
    this.#parts.ledger.state();
    await this.#parts.leases.beat(this.#parts.lease);
    this.#setReachable();
  }

  #nextBeat(): void {
    if (this.#ended.signal.aborted) return;
    const { lease, random } = this.#parts;
    // A tenth of jitter, so that sessions that began together do not beat together.
    const inMs = (lease.ttlMs / 3) * (0.9 + 0.2 * random());
    this.#beat = setTimeout(() => {
      void this.#beatNow()
        .then(
          () => this.#checkAll(),
          (error: unknown) => this.#setUnreachable(describe(error)),
        )
        .then(() => this.#nextBeat());
    }, inMs);
  }

  #checkAll(): void {
    for (const key of this.#held.keys()) this.#check(key);
  }

  /** Compares a key of this session with the journal. */
  #check(key: string): void {
    const value = this.#held.get(key);
    const state = this.#parts.ledger.known;
    if (value === undefined || state === undefined || this.#ended.signal.aborted || this.#restoring.has(key)) return;
    const present = state.entries.get(key);
    if (present !== undefined && this.#isOurs(present)) return;
    if (present !== undefined && !isOrphan(present, value)) {
      this.#letGo(key, present.value);
      return;
    }
    this.#restoring.add(key);
    const reason = present === undefined ? 'it was gone' : 'its lease was lost';
    void this.#restore(key, value, reason).finally(() => this.#restoring.delete(key));
  }

  async #restore(key: string, value: string, reason: string): Promise<void> {
    const { tree, lease, leases, options } = this.#parts;
    let holder: string | undefined;
    try {
      await leases.beat(lease);
      const at = await tree.put({
        key,
        value,
        lease,
        may: (present) => {
          if (!this.#held.has(key) || this.#ended.signal.aborted) return false;
          if (present === undefined || this.#isOurs(present) || isOrphan(present, value)) return true;
          holder = present.value;
          return false;
        },
      });
      if (at !== undefined) options.onEvent({ kind: 'restored', key, reason });
      else if (holder !== undefined) this.#letGo(key, holder);
    } catch (error) {
      // The next heartbeat looks again.
      this.#setUnreachable(describe(error));
    }
  }

  /** The other owner replaced a live key on purpose, and two owners that replace each other would never stop. */
  #letGo(key: string, holder: string): void {
    this.#held.delete(key);
    this.#parts.options.onEvent({ kind: 'taken', key, holder });
  }

  /** Tries until it works, `signal` aborts or this session ends; what trying again cannot heal is thrown at once. */
  async #persist<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    const { signal: ended } = this.#ended;
    for (let failures = 1; ; failures += 1) {
      if (ended.aborted || signal?.aborted) {
        throw new Fault('registry-unreachable', 'gave up before the first attempt');
      }
      try {
        const result = await task();
        this.#setReachable();
        return result;
      } catch (error) {
        if (error instanceof Fault && (error.code === 'key-owned' || error.code === 'usage')) throw error;
        this.#setUnreachable(describe(error));
        const stop = AbortSignal.any(signal === undefined ? [ended] : [ended, signal]);
        await pause(backoffMs(retry, failures, this.#parts.random()), undefined, { signal: stop }).catch(() => {
          throw new Fault('registry-unreachable', `gave up: ${describe(error)}`, { cause: error });
        });
      }
    }
  }

  #setUnreachable(reason: string): void {
    if (this.#ended.signal.aborted) return;
    this.#unreachable = true;
    this.#parts.options.onEvent({ kind: 'unreachable', reason });
  }

  #setReachable(): void {
    if (!this.#unreachable) return;
    this.#unreachable = false;
    this.#parts.options.onEvent({ kind: 'reachable' });
  }
}

/** Our own value, found under no lease: its record was lost with the journal, and its file was taken for written by hand. */
const isOrphan = (present: StoredEntry, value: string): boolean =>
  present.lease === undefined && present.value === value;
