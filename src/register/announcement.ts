import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { formatInstance, type Instance } from '../model/instance.ts';
import { quote } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';
import { type Holder, judgeHolder } from './ownership.ts';
import type { KeyHolder, SharedLease } from './shared-lease.ts';

export type AnnouncementParts = {
  readonly lease: SharedLease;
  readonly instance: Instance;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** The time that goes into the registry, in ms since 1970. */
  readonly wall?: () => number;
  /** Somebody else holds our key now; the announcement is over. */
  readonly onTaken: (fault: Fault) => void;
};

// etcd looks for expired leases twice a second, and after an election extends all of them.
const leaseSlackMs = 2000;
const reclaimMs = 250;

/** One instance in the registry: its key, under the lease of this process. */
export class Announcement {
  readonly key: string;
  readonly #parts: AnnouncementParts;
  readonly #holding: KeyHolder;
  #instance: Instance;
  #holder: Holder | undefined;
  /** Whether the key stands in the registry; `perhaps`: a put that was given up may have arrived. */
  #stands: 'no' | 'perhaps' | 'yes' = 'no';

  constructor(parts: AnnouncementParts) {
    this.#parts = parts;
    this.#instance = parts.instance;
    this.key = `instances/${parts.instance.service}/${parts.instance.id}`;
    this.#holding = {
      mayReplace: (value) => {
        this.#holder = judgeHolder(this.#instance, value);
        return this.#holder.kind === 'ourselves';
      },
      onTaken: (value) => {
        this.#holder = judgeHolder(this.#instance, value);
        this.#stands = 'no';
        parts.onTaken(this.#refusal());
      },
    };
  }

  /** Whether the registry has ever confirmed that the key stands. */
  get confirmed(): boolean {
    return this.#stands === 'yes';
  }

  /**
   * Makes the instance known, or its new form if it is already. While the registry is away it goes on trying; while
   * another process holds the key it waits as long as that one's lease can outlive it, then rejects with Fault
   * `key-owned`.
   */
  async publish(signal: AbortSignal, instance: Instance = this.#instance): Promise<Revision> {
    const { lease, logger, now } = this.#parts;
    this.#instance = instance;
    let givesUp: number | undefined;
    for (;;) {
      try {
        return await this.#put(instance, signal);
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'key-owned') throw error;
        const holder = this.#holder;
        if (holder?.kind === 'another' && givesUp === undefined) {
          const waitMs = lease.ttlMs + leaseSlackMs;
          givesUp = now() + waitMs;
          logger.warn(
            { event: 'key-owned', key: this.key, holder: holder.address, waitMs },
            `${holder.address} holds ${this.key}; waiting until its lease runs out, if it is gone`,
          );
        }
        if (givesUp === undefined || now() >= givesUp) throw this.#refusal();
      }
      await pause(reclaimMs, undefined, { signal });
    }
  }

  /** Says that no new requests should come, and stays known. Resolves with the revision, or undefined when it was not known. */
  async drain(signal: AbortSignal): Promise<Revision | undefined> {
    if (this.#stands === 'no') return undefined;
    return this.#put({ ...this.#instance, state: 'draining' }, signal);
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
    const { lease, wall = Date.now } = this.#parts;
    const stood = this.#stands;
    if (stood === 'no') this.#stands = 'perhaps';
    try {
      const value = formatInstance({ ...instance, writtenAt: wall() });
      const revision = await lease.put(this.key, value, this.#holding, signal);
      this.#stands = 'yes';
      return revision;
    } catch (error) {
      if (error instanceof Fault && error.code === 'key-owned') this.#stands = stood;
      throw error;
    }
  }

  #refusal(): Fault {
    const { lease, instance } = this.#parts;
    const name = `${instance.service}/${instance.id}`;
    const holder = this.#holder;
    const where = `${lease.location.replace(/\/$/, '')}/${this.key}`;
    switch (holder?.kind) {
      case 'another': {
        const hint = 'end that one, or give this one another --id';
        return new Fault('key-owned', `${name} is registered by another process, at ${holder.address}`, {
          where,
          hint,
        });
      }
      case 'hand': {
        const hint = 'delete the key, or give this one another --id';
        return new Fault('key-owned', `${name} was written by hand: ${quote(holder.value)}`, { where, hint });
      }
      case 'ourselves':
      case undefined: {
        const hint = 'one process is enough for one instance';
        return new Fault('key-owned', `${name} was taken over by another process with the same address`, {
          where,
          hint,
        });
      }
    }
  }
}
