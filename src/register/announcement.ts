import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { formatInstance, type Instance } from '../model/instance.ts';
import { instanceKey } from '../model/key.ts';
import { quote } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';
import { backoffMs } from '../waiting/backoff.ts';
import type { KeyWatch } from './key-watch.ts';
import { type CurrentOwner, currentOwnerOf, startBeyond } from './ownership.ts';
import type { KeyOwner, SharedLease } from './shared-lease.ts';

export type AnnouncementParts = {
  readonly lease: SharedLease;
  readonly instance: Instance;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** The time that goes into the registry, in ms since 1970. */
  readonly wall?: () => number;
  /**
   * What an instance does when another process still has its key after a lease without an owner must have ended: `refuse` gives up,
   * `wait` waits until the key is free. An instance that was announced before always waits.
   */
  readonly whenOwned: 'refuse' | 'wait';
  /** Another process has our key now: the instance has to be published again. */
  readonly onTaken: () => void;
};

// etcd looks for expired leases twice a second, and after an election extends all of them.
const leaseSlackMs = 2000;
/** The pause between two attempts at a key that another process has. A change of the key ends it. */
const retry = { firstMs: 250, mostMs: 5000, jitter: 0.5 };

/** One instance in the registry: its key, under the lease of this process. */
export class Announcement {
  readonly key: string;
  readonly #parts: AnnouncementParts;
  readonly #holder: KeyOwner;
  #instance: Instance;
  #started: number;
  #current: CurrentOwner | undefined;
  /** Whether the log says that another process has the key. */
  #loggedOwned = false;
  /** Whether our value is in the registry; `perhaps`: a put that was given up may have arrived; `former`: that of a former process may be. */
  #present: 'no' | 'former' | 'perhaps' | 'yes' = 'no';
  #announcedBefore = false;

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
    this.#instance = parts.instance;
    this.#started = this.#wall();
    this.key = instanceKey(parts.instance.service, parts.instance.id);
    this.#holder = {
      mayReplace: (value) => {
        const start = this.#started;
        return this.#inspect(value).kind === 'predecessor' && this.#started === start;
      },
      onTaken: (value) => this.#onTaken(value),
    };
  }

  /** The process that has the key, as the log says it; undefined if none is known. */
  get otherOwner(): string | undefined {
    return this.#loggedOwned ? this.#refusal().message : undefined;
  }

  /**
   * Puts the instance. While the registry is unavailable, or another process has the key, it tries again until `signal` aborts.
   * With `whenOwned: 'refuse'` and before the first put, it waits as long as a lease can outlive its process, then rejects with
   * Fault `key-owned`.
   */
  async publish(signal: AbortSignal, instance: Instance = this.#instance): Promise<Revision> {
    const { lease, now, random } = this.#parts;
    this.#instance = instance;
    let watch: KeyWatch | undefined;
    let givesUpAt: number | undefined;
    try {
      for (let failures = 1; ; failures += 1) {
        const revision = await this.#put(instance, signal).catch((error: unknown) => {
          // Another instance of this process has the key.
          if (!isOwned(error) || this.#current === undefined) throw error;
        });
        if (revision !== undefined) {
          this.#loggedOwned = false;
          return revision;
        }
        givesUpAt ??= now() + (this.#current?.kind === 'hand' ? 0 : lease.ttlMs + leaseSlackMs);
        const leftMs = this.#refuses ? givesUpAt - now() : Number.POSITIVE_INFINITY;
        if (leftMs <= 0) throw this.#refusal();
        this.#logOwned(leftMs);
        watch ??= lease.watch(this.key);
        await watch.next(Math.min(leftMs, backoffMs(retry, failures, random())), signal);
      }
    } finally {
      await watch?.close();
    }
  }

  /** A former process with the same address may have left its value in the key: `drain` then takes it over, and never makes a new one. */
  expectFormer(): void {
    this.#present = 'former';
  }

  /** Asks for no new requests, and keeps the key. Resolves with the revision, or undefined when the key is not ours. */
  async drain(signal: AbortSignal): Promise<Revision | undefined> {
    if (this.#present === 'former' && !(await this.#hasFormer(signal))) this.#present = 'no';
    if (this.#present === 'no') return undefined;
    try {
      return await this.#put({ ...this.#instance, state: 'draining' }, signal);
    } catch (error) {
      if (!isOwned(error)) throw error;
      // Another process has the key, and the session has not noticed it yet.
      this.#present = 'no';
      return undefined;
    }
  }

  /**
   * Takes the instance out of service. Resolves with the revision, or undefined when it was out already. The state `draining`
   * comes first: without it, balancers would see a lease that ran out.
   */
  async withdraw(signal: AbortSignal): Promise<Revision | undefined> {
    return (await this.drain(signal)) === undefined ? undefined : this.remove(signal);
  }

  /** Removes the key of an instance that drains. Resolves with the revision, or undefined when the key is not ours. */
  async remove(signal: AbortSignal): Promise<Revision | undefined> {
    const { lease } = this.#parts;
    if (this.#present === 'no') return undefined;
    const revision = await lease.inTurn(() => lease.session.remove(this.key, signal));
    lease.letGo(this.key, this.#holder);
    this.#present = 'no';
    return revision;
  }

  async #hasFormer(signal: AbortSignal): Promise<boolean> {
    const value = await this.#parts.lease.valueOf(this.key, signal);
    return value !== undefined && this.#inspect(value).kind === 'predecessor';
  }

  async #put(instance: Instance, signal: AbortSignal): Promise<Revision> {
    const { lease } = this.#parts;
    const before = this.#present;
    this.#current = undefined;
    if (before === 'no') this.#present = 'perhaps';
    try {
      const value = formatInstance({ ...instance, started: this.#started, writtenAt: this.#wall() });
      lease.hold(this.key, this.#holder);
      const revision = await lease.inTurn(() => lease.session.put(this.key, value, signal));
      this.#present = 'yes';
      this.#announcedBefore = true;
      return revision;
    } catch (error) {
      if (isOwned(error)) lease.letGo(this.key, this.#holder);
      // Without a lease nothing can have arrived.
      if (isOwned(error) || !lease.granted) this.#present = before;
      throw error;
    }
  }

  /** Finds out who has put a value into the key. */
  #inspect(value: string): CurrentOwner {
    this.#current = currentOwnerOf({ ...this.#instance, started: this.#started }, value, this.#announcedBefore);
    const start = this.#announcedBefore ? undefined : startBeyond(this.#current, this.#wall());
    if (start === undefined) return this.#current;
    // The value of this attempt has the former start: the next attempt replaces.
    this.#started = start;
    this.#current = { kind: 'predecessor' };
    return this.#current;
  }

  #onTaken(value: string): void {
    this.#present = 'no';
    if (this.#inspect(value).kind === 'predecessor') {
      const { logger } = this.#parts;
      const message = `pointsman replaces an earlier registration of ${this.#name}`;
      logger.warn({ event: 'predecessor-replaced', key: this.key }, message);
    } else this.#logOwned(Number.POSITIVE_INFINITY);
    this.#parts.onTaken();
  }

  /** Logs once that another process has the key. */
  #logOwned(leftMs: number): void {
    if (this.#loggedOwned || this.#current === undefined || this.#current.kind === 'predecessor') return;
    this.#loggedOwned = true;
    const { logger } = this.#parts;
    const { message, hint } = this.#refusal();
    const holder = this.#current.kind === 'hand' ? this.#current.value : this.#current.address;
    const about = { key: this.key, instance: this.#name, holder };
    if (this.#announcedBefore) {
      logger.error({ event: 'taken', ...about }, `${message}; pointsman registers this one again when the key is free`);
    } else if (Number.isFinite(leftMs)) {
      const waitMs = Math.round(leftMs);
      const text = `${message}; pointsman waits: if that process is gone, its lease expires`;
      logger.warn({ event: 'key-owned', ...about, waitMs }, text);
    } else {
      logger.error({ event: 'key-owned', ...about }, `${message}; pointsman waits until the key is free (or ${hint})`);
    }
  }

  get #refuses(): boolean {
    return this.#parts.whenOwned === 'refuse' && !this.#announcedBefore;
  }

  #wall(): number {
    return (this.#parts.wall ?? Date.now)();
  }

  get #name(): string {
    return `${this.#instance.service}/${this.#instance.id}`;
  }

  #refusal(): Fault {
    const holder = this.#current;
    const where = `${this.#parts.lease.location.replace(/\/$/, '')}/${this.key}`;
    switch (holder?.kind) {
      case 'another': {
        const hint = 'stop the other process, or give this one another --id';
        return new Fault('key-owned', `${this.#name} is registered by another process, at ${holder.address}`, {
          where,
          hint,
        });
      }
      case 'hand': {
        const hint = 'delete the key, or give this one another --id';
        return new Fault('key-owned', `${this.#name} was written by hand: ${quote(holder.value)}`, { where, hint });
      }
      case 'successor':
      case 'predecessor':
      case undefined: {
        const hint = 'one process is enough for one instance';
        const message = `${this.#name} is registered by another process with the same address, which started later`;
        return new Fault('key-owned', message, { where, hint });
      }
    }
  }
}

const isOwned = (error: unknown): boolean => error instanceof Fault && error.code === 'key-owned';
