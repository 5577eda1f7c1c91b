import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry, Session, SessionEvent } from '../registry/registry.ts';

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

/** One lease for everything that this process announces: one keep-alive, however many instances there are. */
export class SharedLease {
  /** For messages. */
  readonly location: string;
  readonly ttlMs: number;
  readonly #logger: Logger;
  readonly #session: Session;
  readonly #inTurn = pLimit(writesAtOnce);
  readonly #holders = new Map<string, KeyHolder>();
  #unreachable: string | undefined;

  constructor({ registry, ttlMs, logger }: SharedLeaseParts) {
    this.location = registry.location;
    this.ttlMs = ttlMs;
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

  /** Revokes the lease. Never rejects; without the registry the keys are left to expire. */
  close(signal: AbortSignal): Promise<void> {
    return this.#session.close(signal);
  }

  #onEvent(event: SessionEvent): void {
    const logger = this.#logger;
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
      case 'taken': {
        const { key, holder } = event;
        const message = 'another one has taken the key; this one is not registered any more';
        logger.error({ event: 'taken', key, holder }, message);
        const former = this.#holders.get(key);
        this.#holders.delete(key);
        former?.onTaken(holder);
        break;
      }
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
