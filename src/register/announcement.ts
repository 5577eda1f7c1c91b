import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { formatInstance, type Instance } from '../model/instance.ts';
import { quote } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';
import type { KeyWatch } from './key-watch.ts';
import { type CurrentHolder, currentHolderOf, startBeyond } from './ownership.ts';
import type { KeyHolder, SharedLease } from './shared-lease.ts';

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
   * What an instance does that was never announced, when another process holds its key for longer than a lease outlives
   * its process. One that was announced before always waits until the key is free.
   */
  readonly whenHeld: 'refuse' | 'wait';
  /** Somebody else holds our key now: it has to be published again. */
  readonly onTaken: () => void;
};

// etcd looks for expired leases twice a second, and after an election extends all of them.
const leaseSlackMs = 2000;
/** How long to wait between two attempts at a key that another one holds, in ms, unless the key changes before. */
const retryMs = { least: 250, most: 5000 };

/** One instance in the registry: its key, under the lease of this process. */
export class Announcement {
  readonly key: string;
  readonly #parts: AnnouncementParts;
  readonly #holding: KeyHolder;
  #instance: Instance;
  #started: number;
  #holder: CurrentHolder | undefined;
  /** Whether the log has said that another one holds the key. */
  #toldHeld = false;
  /** Whether the key stands in the registry; `perhaps`: a put that was given up may have arrived. */
  #stands: 'no' | 'perhaps' | 'yes' = 'no';
  #stoodBefore = false;

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
    this.#instance = parts.instance;
    this.#started = this.#wall();
    this.key = `instances/${parts.instance.service}/${parts.instance.id}`;
    this.#holding = {
      mayReplace: (value) => {
        const start = this.#started;
        return this.#judge(value).kind === 'predecessor' && this.#started === start;
      },
      onTaken: (value) => this.#onTaken(value),
    };
  }

  /**
   * Makes the instance known, or its new form if it is already. While the registry is unavailable, or another one holds the
   * key, it goes on trying until `signal` aborts. With `whenHeld: 'refuse'` and before it was announced for the first time,
   * it waits as long as a lease can outlive its process, then rejects with Fault `key-owned`.
   */
  async publish(signal: AbortSignal, instance: Instance = this.#instance): Promise<Revision> {
    const { lease, now } = this.#parts;
    this.#instance = instance;
    let watch: KeyWatch | undefined;
    let givesUpAt: number | undefined;
    try {
      for (let attempt = 0; ; attempt += 1) {
        const revision = await this.#put(instance, signal).catch((error: unknown) => {
          // Without a holder it is this process itself that announces it already.
          if (!isOwned(error) || this.#holder === undefined) throw error;
        });
        if (revision !== undefined) {
          this.#toldHeld = false;
          return revision;
        }
        givesUpAt ??= now() + (this.#holder?.kind === 'hand' ? 0 : lease.ttlMs + leaseSlackMs);
        const leftMs = this.#refuses ? givesUpAt - now() : Number.POSITIVE_INFINITY;
        if (leftMs <= 0) throw this.#refusal();
        this.#tellHeld(leftMs);
        watch ??= lease.watch(this.key);
        await watch.next(Math.min(leftMs, this.#retryIn(attempt)), signal);
      }
    } finally {
      await watch?.close();
    }
  }

  /** Says that no new requests should come, and stays known. Resolves with the revision, or undefined when it was not known. */
  async drain(signal: AbortSignal): Promise<Revision | undefined> {
    if (this.#stands === 'no') return undefined;
    try {
      return await this.#put({ ...this.#instance, state: 'draining' }, signal);
    } catch (error) {
      if (!isOwned(error)) throw error;
      // Another one has it, and the session has not noticed yet.
      this.#stands = 'no';
      return undefined;
    }
  }

  /**
   * Takes the instance out of service. Resolves with the revision since which it is out, or undefined when it was out
   * already. The state `draining` comes first: it tells a leave from a lease that ran out.
   */
  async withdraw(signal: AbortSignal): Promise<Revision | undefined> {
    return (await this.drain(signal)) === undefined ? undefined : this.remove(signal);
  }

  /** Takes it out when it drains already. */
  async remove(signal: AbortSignal): Promise<Revision | undefined> {
    const revision = await this.#parts.lease.remove(this.key, this.#holding, signal);
    this.#stands = 'no';
    return revision;
  }

  async #put(instance: Instance, signal: AbortSignal): Promise<Revision> {
    const { lease } = this.#parts;
    const stood = this.#stands;
    this.#holder = undefined;
    if (stood === 'no') this.#stands = 'perhaps';
    try {
      const value = formatInstance({ ...instance, started: this.#started, writtenAt: this.#wall() });
      const revision = await lease.put(this.key, value, this.#holding, signal);
      this.#stands = 'yes';
      this.#stoodBefore = true;
      return revision;
    } catch (error) {
      // Without a lease nothing can have arrived.
      if (isOwned(error) || !lease.granted) this.#stands = stood;
      throw error;
    }
  }

  /** Judges the value of another owner. */
  #judge(value: string): CurrentHolder {
    this.#holder = currentHolderOf({ ...this.#instance, started: this.#started }, value, this.#stoodBefore);
    const start = this.#stoodBefore ? undefined : startBeyond(this.#holder, this.#wall());
    if (start === undefined) return this.#holder;
    // The value that we were about to put names the former start: the next attempt replaces.
    this.#started = start;
    this.#holder = { kind: 'predecessor' };
    return this.#holder;
  }

  #onTaken(value: string): void {
    this.#stands = 'no';
    if (this.#judge(value).kind === 'predecessor') {
      const { logger } = this.#parts;
      const message = `an earlier registration of ${this.#name} stands in its key and is replaced`;
      logger.warn({ event: 'predecessor-replaced', key: this.key }, message);
    } else this.#tellHeld(Number.POSITIVE_INFINITY);
    this.#parts.onTaken();
  }

  /** Says once that another one holds the key. */
  #tellHeld(leftMs: number): void {
    if (this.#toldHeld || this.#holder === undefined || this.#holder.kind === 'predecessor') return;
    this.#toldHeld = true;
    const { logger } = this.#parts;
    const { message, hint } = this.#refusal();
    const holder = this.#holder.kind === 'hand' ? this.#holder.value : this.#holder.address;
    const about = { key: this.key, holder };
    if (this.#stoodBefore) {
      logger.error({ event: 'taken', ...about }, `${message}; this one is registered again when the key is free`);
    } else if (Number.isFinite(leftMs)) {
      const waitMs = Math.round(leftMs);
      const text = `${message}; waiting until its lease runs out, if it is gone`;
      logger.warn({ event: 'key-owned', ...about, waitMs }, text);
    } else {
      logger.error({ event: 'key-owned', ...about }, `${message}; waiting until the key is free (or ${hint})`);
    }
  }

  get #refuses(): boolean {
    return this.#parts.whenHeld === 'refuse' && !this.#stoodBefore;
  }

  #retryIn(attempt: number): number {
    const bound = Math.min(retryMs.most, retryMs.least * 2 ** attempt);
    return bound * (0.5 + this.#parts.random() / 2);
  }

  #wall(): number {
    return (this.#parts.wall ?? Date.now)();
  }

  get #name(): string {
    return `${this.#instance.service}/${this.#instance.id}`;
  }

  #refusal(): Fault {
    const holder = this.#holder;
    const where = `${this.#parts.lease.location.replace(/\/$/, '')}/${this.key}`;
    switch (holder?.kind) {
      case 'another': {
        const hint = 'end that one, or give this one another --id';
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
