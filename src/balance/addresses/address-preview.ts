import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Unserved } from '../../catalog/unserved.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalanceSettings } from '../../settings/balance.ts';
import { addressesGiven } from './addresses-given.ts';
import { addressesOf } from './addresses-of.ts';
import { Locating } from './locating.ts';
import { ownListeners } from './own-listeners.ts';

// A lookup takes 3 s at most.
const patienceMs = 3500;

/** Looks up the addresses of instances for a preview. */
export class AddressPreview {
  readonly #locating: Locating;
  readonly #served: Rendered | undefined;

  constructor(settings: BalanceSettings, served: Rendered | undefined, logger: Logger) {
    this.#served = served;
    this.#locating = new Locating({
      ...addressesOf(settings),
      logger,
      now: () => performance.now(),
      onChange: () => undefined,
    });
    if (served !== undefined) this.#locating.listening(ownListeners(served.base.before + served.base.after));
  }

  /** Looks up the names of a catalog. A name that does not resolve keeps the address that HAProxy serves. */
  async lookUp(catalog: Catalog): Promise<void> {
    this.#locating.adopt(catalog);
    await this.#locating.resolved(patienceMs);
    if (this.#served !== undefined) this.#locating.adopt(catalog, addressesGiven(catalog, this.#served));
    // Only now `unserved` knows them.
    this.#locating.located(catalog);
  }

  /** The stage `located` of the effective catalog, after `lookUp`. */
  located(catalog: Catalog): Catalog {
    return this.#locating.located(catalog);
  }

  /** The instances that would not be served, or at an older address. */
  unserved(): readonly Unserved[] {
    return [...this.#locating.unserved()];
  }

  close(): void {
    this.#locating.close();
  }
}
