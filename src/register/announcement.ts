import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { formatInstance, type Instance } from '../model/instance.ts';
import { quote } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry, Session, SessionEvent } from '../registry/registry.ts';
import { type Holder, judgeHolder } from './ownership.ts';

export type AnnouncementParts = {
  readonly registry: Registry;
  readonly instance: Instance;
  readonly ttlMs: number;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Somebody else holds our key now; the announcement is over. */
  readonly onTaken: (fault: Fault) => void;
};

// etcd looks for expired leases twice a second, and after an election extends all of them.
const leaseSlackMs = 2000;
const reclaimMs = 250;

/** One instance in the registry: its key, under a lease that lives as long as this does. */
export class Announcement {
  readonly key: string;
  readonly #parts: AnnouncementParts;
  readonly #session: Session;
  #holder: Holder | undefined;
  #published = false;
  #unreachable: string | undefined;

  constructor(parts: AnnouncementParts) {
    const { registry, instance, ttlMs } = parts;
    this.#parts = parts;
    this.key = `instances/${instance.service}/${instance.id}`;
    this.#session = registry.openSession({
      ttlMs,
      mayReplace: (_, value) => {
        this.#holder = judgeHolder(instance, value);
        return this.#holder.kind === 'ourselves';
      },
      onEvent: (event) => this.#onEvent(event),
    });
  }

  /**
   * Makes the instance known. While the registry is away it goes on trying; while another process holds the key it waits
   * as long as that one's lease can outlive it, then rejects with Fault `key-owned`.
   */
  async publish(signal: AbortSignal): Promise<Revision> {
    const { instance, ttlMs, logger, now } = this.#parts;
    let givesUp: number | undefined;
    for (;;) {
      try {
        const revision = await this.#session.put(this.key, formatInstance(instance), signal);
        this.#published = true;
        return revision;
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'key-owned') throw error;
        const holder = this.#holder;
        if (holder?.kind === 'another' && givesUp === undefined) {
          givesUp = now() + ttlMs + leaseSlackMs;
          const waitMs = ttlMs + leaseSlackMs;
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

  /**
   * Takes the instance out of service, before its application is told to end. Resolves with the revision since which it
   * is out, or undefined when it was out already. The state `draining` comes first: it tells a leave from a lease that
   * ran out. Waiting there until every balancer has acknowledged it is to come.
   */
  async withdraw(signal: AbortSignal): Promise<Revision | undefined> {
    if (!this.#published) return undefined;
    await this.#session.put(this.key, formatInstance({ ...this.#parts.instance, state: 'draining' }), signal);
    return this.#session.remove(this.key, signal);
  }

  /** Revokes the lease. Never rejects; without the registry the key is left to expire. */
  close(signal: AbortSignal): Promise<void> {
    return this.#session.close(signal);
  }

  #refusal(): Fault {
    const { registry, instance } = this.#parts;
    const name = `${instance.service}/${instance.id}`;
    const holder = this.#holder;
    const where = `${registry.location.replace(/\/$/, '')}/${this.key}`;
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

  #onEvent(event: SessionEvent): void {
    const { instance, logger, onTaken } = this.#parts;
    switch (event.kind) {
      case 'granted':
        logger.debug({ event: 'lease-granted', lease: event.lease }, 'lease granted');
        break;
      case 'restored':
        logger.warn(
          { event: 'restored', key: event.key, reason: event.reason },
          'the registration had been lost; it stands again',
        );
        break;
      case 'taken':
        logger.error(
          { event: 'taken', key: event.key, holder: event.holder },
          'another one has taken the key; this one is not registered any more',
        );
        this.#holder = judgeHolder(instance, event.holder);
        this.#published = false;
        onTaken(this.#refusal());
        break;
      case 'unreachable':
        // Repeated at every attempt: once is enough for each reason.
        if (event.reason !== this.#unreachable) {
          const { reason } = event;
          logger.warn({ event: 'registry-disconnected', reason }, 'the registry does not answer; trying on');
        }
        this.#unreachable = event.reason;
        break;
      case 'reachable':
        this.#unreachable = undefined;
        logger.info({ event: 'registry-connected' }, 'the registry answers');
        break;
    }
  }
}
