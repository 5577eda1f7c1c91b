import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { errorCode, Fault } from '../model/fault.ts';
import type { Registry, Session, SessionEvent } from '../registry/registry.ts';
import { Connection } from './connection.ts';
import { KeyWatch } from './key-watch.ts';
import type { RegisterFacts } from './register-status.ts';

/** The part of this process that has one key. */
export type KeyOwner = {
  /** Whether this process may replace a value that another process has put. */
  readonly mayReplace: (value: string) => boolean;
  /** Another process has replaced our value with `value`. */
  readonly onTaken: (value: string) => void;
};

export type SharedLeaseParts = {
  readonly registry: Registry;
  /** How long the keys stay after this process ended, in ms. */
  readonly ttlMs: number;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** More writes at once would not be faster, and take memory. */
const writesAtOnce = 64;

/** How many keys of other processes are followed at once, with a connection each. The rest are polled every few seconds. */
const mostWatches = 16;

/** One lease for all instances that this process announces: one keep-alive, however many instances there are. */
export class SharedLease {
  /** For messages. */
  readonly location: string;
  readonly ttlMs: number;
  /** Puts and removes the keys of all holders. */
  readonly session: Session;
  /** Bounds the writes under way. */
  readonly inTurn = pLimit(writesAtOnce);
  readonly #registry: Registry;
  readonly #logger: Logger;
  readonly #holders = new Map<string, KeyOwner>();
  #watches = 0;
  #leases = 0;
  #restored = 0;
  readonly #connection: Connection;
  readonly #unreachable = new OncePerReason();

  constructor({ registry, ttlMs, logger, now }: SharedLeaseParts) {
    this.location = registry.location;
    this.ttlMs = ttlMs;
    this.#registry = registry;
    this.#logger = logger;
    this.#connection = new Connection(now);
    this.session = registry.openSession({
      ttlMs,
      mayReplace: (key, value) => this.#holders.get(key)?.mayReplace(value) ?? false,
      onEvent: (event) => this.#onEvent(event),
    });
  }

  /** Makes `holder` the one that has the key. Throws Fault `key-owned` when another one of this process has it. */
  hold(key: string, holder: KeyOwner): void {
    const before = this.#holders.get(key);
    if (before !== undefined && before !== holder) {
      throw new Fault('key-owned', 'this process announces it already', { where: key });
    }
    this.#holders.set(key, holder);
  }

  letGo(key: string, holder: KeyOwner): void {
    if (this.#holders.get(key) === holder) this.#holders.delete(key);
  }

  /** Whether the registry has granted the lease. Before that no put can have arrived. */
  get granted(): boolean {
    return this.#leases > 0;
  }

  /** For metrics and readiness. */
  get state(): RegisterFacts['registry'] {
    const { location } = this;
    return { location, ...this.#connection.state, leases: this.#leases, restored: this.#restored };
  }

  /** Reads a key, whoever has it; undefined when it is not there, or this user has no right to read it. Rejects with a Fault. */
  async valueOf(key: string, signal: AbortSignal): Promise<string | undefined> {
    const listing = await this.#registry.read(key, signal).catch((error: unknown) => {
      if (errorCode(error) === 'registry-denied') return undefined;
      throw error;
    });
    return listing?.entries.find((entry) => entry.key === key)?.value;
  }

  /** Watches a key that another process holds. The caller closes it. */
  watch(key: string): KeyWatch {
    if (this.#watches >= mostWatches) return new KeyWatch(undefined, key);
    this.#watches += 1;
    return new KeyWatch(this.#registry, key, () => {
      this.#watches -= 1;
    });
  }

  /** Revokes the lease. Never rejects; without the registry the keys are left to expire. */
  close(signal: AbortSignal): Promise<void> {
    return this.session.close(signal);
  }

  #onEvent(event: SessionEvent): void {
    const logger = this.#logger;
    switch (event.kind) {
      case 'granted':
        this.#leases += 1;
        this.#connection.answers();
        logger.debug({ event: 'lease-granted', lease: event.lease }, 'lease granted');
        break;
      case 'restored':
        this.#restored += 1;
        logger.warn(
          { event: 'restored', key: event.key, reason: event.reason },
          'pointsman restored the lost registration',
        );
        break;
      case 'taken': {
        const former = this.#holders.get(event.key);
        this.#holders.delete(event.key);
        former?.onTaken(event.holder);
        break;
      }
      case 'unreachable':
        this.#connection.lost(event.reason);
        // The session repeats it at every attempt.
        if (this.#unreachable.isNew('registry', event.reason)) {
          const { reason } = event;
          logger.warn(
            { event: 'registry-disconnected', reason },
            'the registry accepts no registrations; pointsman keeps trying',
          );
        }
        break;
      case 'reachable':
        this.#connection.answers();
        this.#unreachable.isNew('registry', undefined);
        logger.info({ event: 'registry-connected' }, 'the registry accepts registrations again');
        break;
    }
  }
}
