import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { BalanceSettings } from '../../settings/balance.ts';
import { addressesOf } from './addresses-of.ts';
import { addressesGiven, ownListeners } from './configured-addresses.ts';
import { Locating } from './locating.ts';

// A lookup takes 3 s at most.
const patienceMs = 3500;

/** Locates instances for a preview, once `lookUpNames` has looked up their names. */
export function locatingOf(settings: BalanceSettings, served: Rendered | undefined, logger: Logger): Locating {
  const locating = new Locating({
    ...addressesOf(settings),
    logger,
    now: () => performance.now(),
    onChange: () => undefined,
  });
  if (served !== undefined) locating.listening(ownListeners(served.base.before + served.base.after));
  return locating;
}

/** Looks up the names of a catalog. A name that does not resolve keeps the address that HAProxy serves. */
export async function lookUpNames(locating: Locating, catalog: Catalog, served: Rendered | undefined): Promise<void> {
  locating.adopt(catalog);
  await locating.lookups.resolved(patienceMs);
  if (served !== undefined) locating.adopt(catalog, addressesGiven(catalog, served));
  // Only now `unserved` knows them.
  locating.located(catalog);
}
