import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry, Session, SessionEvent } from '../registry/registry.ts';
import { KeyWatch } from './key-watch.ts';

/** What the holder of one key decides and is told. */
export type KeyHolder = {
  /** Whether the value that stands there, and that another one put, may be replaced. */
  readonly mayReplace: (value: string) => boolean;
  /** Somebody else has put this over our value. */
  readonly onTaken: (value: string) => void;
};

export type SharedLeaseParts = {
  readonly registry: Registry;
  /** How long the keys outlive our silence, in ms. */
  readonly ttlMs: number;
  readonly logger: Logger;
};

/** Enough to fill the way to the registry; a thousand at once would only take memory. */
const writesAtOnce = 64;

/** How many keys of others are followed at once, with a connection each; the rest are looked at every few seconds. */
const mostWatches = 16;

/** One lease for everything that this process announces: one keep-alive, however many instances there are. */
export class SharedLease {
  /** For messages. */
  readonly location: string;
  readonly ttlMs: number;
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #session: Session;
  readonly #inTurn = pLimit(writesAtOnce);
  readonly #holders = new Map<string, KeyHolder>();
  #watches = 0;
  #granted = false;
  #unreachable: string | undefined;

  constructor({ registry, ttlMs, logger }: SharedLeaseParts) {
    this.location = registry.location;
    this.ttlMs = ttlMs;
    this.#registry = registry;
    this.#logger = logger;
    this.#session = registry.openSession({
      ttlMs,
      mayReplace: (key, value) => this.#holders.get(key)?.mayReplace(value) ?? false,
      onEvent: (event) => this.#onEvent(event),
    });
  }

  /** Puts a key on behalf of `holder`; see Session.put. */
  async put(key: string, value: string, holder: KeyHolder, signal: AbortSignal): Promise<Revision> {
    const before = this.#holders.get(key);
    if (before !== undefined && before !== holder) {
      throw new Fault('key-owned', 'this process announces it already', { where: key });
    }
    this.#holders.set(key, holder);
    try {
      return await this.#inTurn(() => this.#session.put(key, value, signal));
    } catch (error) {
      if (error instanceof Fault && error.code === 'key-owned') this.#holders.delete(key);
      throw error;
    }
  }

  /** Deletes a key of `holder`; see Session.remove. */
  async remove(key: string, holder: KeyHolder, signal: AbortSignal): Promise<Revision | undefined> {
    if (this.#holders.get(key) !== holder) return undefined;
    const revision = await this.#inTurn(() => this.#session.remove(key, signal));
    this.#holders.delete(key);
    return revision;
  }

  /** Whether the registry has ever granted the lease. Until then no put of ours can have arrived. */
  get granted(): boolean {
    return this.#granted;
  }

  /** Tells when a key that another one holds changes. To be closed. */
  watch(key: string): KeyWatch {
    if (this.#watches >= mostWatches) return new KeyWatch(undefined, key);
    this.#watches += 1;
    return new KeyWatch(this.#registry, key, () => {
      this.#watches -= 1;
    });
  }

  /** Revokes the lease. Never rejects; without the registry the keys are left to expire. */
  close(signal: AbortSignal): Promise<void> {
    return this.#session.close(signal);
  }

  #onEvent(event: SessionEvent): void {
    const logger = this.#logger;
    switch (event.kind) {
      case 'granted':
        this.#granted = true;
        logger.debug({ event: 'lease-granted', lease: event.lease }, 'lease granted');
        break;
      case 'restored':
        logger.warn(
          { event: 'restored', key: event.key, reason: event.reason },
          'the registration had been lost; it stands again',
        );
        break;
      case 'taken': {
        const former = this.#holders.get(event.key);
        this.#holders.delete(event.key);
        former?.onTaken(event.holder);
        break;
      }
      case 'unreachable':
        // Repeated at every attempt: once is enough for each reason.
        if (event.reason !== this.#unreachable) {
          const { reason } = event;
          logger.warn(
            { event: 'registry-disconnected', reason },
            'the registry does not take registrations; trying on',
          );
        }
        this.#unreachable = event.reason;
        break;
      case 'reachable':
        this.#unreachable = undefined;
        logger.info({ event: 'registry-connected' }, 'the registry takes registrations');
        break;
    }
  }
}
