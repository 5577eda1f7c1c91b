import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import type { Departure } from './departure.ts';
import type { Declared, Registration, RegistrationParts } from './registration.ts';

export type RegistrationSetParts = {
  readonly openRegistration: (
    declared: Declared,
    hooks: Pick<RegistrationParts, 'whenOwned' | 'onRefused' | 'departure' | 'onGone' | 'onAnnounced'>,
    /** More fields for the lines of its log. */
    about?: Readonly<Record<string, string>>,
  ) => Registration;
  readonly openDeparture: () => Departure;
  readonly logger: Logger;
  /** An instance left the registry, after it retired or was dropped. */
  readonly onGone?: (name: string) => void;
  /** The registry has an instance, or the new form of it. */
  readonly onAnnounced?: () => void;
};

/** The registrations of an agent, by `service/id`: they come, change and go while the lease goes on. */
export class RegistrationSet {
  readonly #parts: RegistrationSetParts;
  readonly #registrations = new Map<string, Registration>();
  readonly #leaving = new Set<string>();
  #departure: Departure | undefined;

  constructor(parts: RegistrationSetParts) {
    this.#parts = parts;
  }

  /** The present ones, with those that leave. */
  get all(): ReadonlyMap<string, Registration> {
    return this.#registrations;
  }

  /** Announces an instance, or the new form of it, also if it was leaving. */
  announce(name: string, declared: Declared): void {
    this.#leaving.delete(name);
    const present = this.#registrations.get(name);
    if (present !== undefined) {
      present.update(declared);
      return;
    }
    this.#open(name, declared).begin();
  }

  /**
   * Takes an instance out as soon as every balancer has let go of it. With `former`, also one that is not among these, if a former process
   * with the same address announced it.
   */
  retire(name: string, former?: Declared): void {
    const present = this.#registrations.get(name) ?? this.#takeOver(name, former);
    if (present === undefined) return;
    this.#leaving.add(name);
    // Made before the first of them drains, so that the balancers are known by then.
    this.#openDeparture();
    present.retire();
  }

  /** Takes an instance out at once; `former` as for `retire`. */
  drop(name: string, former?: Declared): void {
    const present = this.#registrations.get(name) ?? this.#takeOver(name, former);
    if (present === undefined) return;
    this.#leaving.add(name);
    present.drop();
  }

  /** Leaves the registry as it is. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    await Promise.all([...this.#registrations.values()].map((one) => one.stop()));
    await this.#departure?.close();
  }

  #open(name: string, declared: Declared): Registration {
    const { openRegistration, logger } = this.#parts;
    const registration = openRegistration(declared, {
      whenOwned: 'wait',
      onRefused: (fault) => {
        logger.error({ event: 'refused', instance: name, reason: describe(fault) }, describe(fault));
      },
      departure: () => this.#openDeparture(),
      onGone: () => this.#forget(name),
      onAnnounced: () => this.#parts.onAnnounced?.(),
    });
    this.#registrations.set(name, registration);
    return registration;
  }

  #takeOver(name: string, former: Declared | undefined): Registration | undefined {
    if (former === undefined) return undefined;
    const registration = this.#open(name, former);
    registration.beginAfterFormer();
    return registration;
  }

  #forget(name: string): void {
    if (!this.#leaving.delete(name)) return;
    void this.#registrations.get(name)?.stop();
    this.#registrations.delete(name);
    if (this.#leaving.size === 0) {
      void this.#departure?.close();
      this.#departure = undefined;
    }
    this.#parts.onGone?.(name);
  }

  #openDeparture(): Departure {
    this.#departure ??= this.#parts.openDeparture();
    return this.#departure;
  }
}
