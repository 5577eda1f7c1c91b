import { addressRules } from '../../addresses/address-rules.ts';
import { openLookUp } from '../../addresses/look-up.ts';
import type { BalanceSettings } from '../../settings/balance.ts';
import type { LocatingParts } from './locating.ts';

/** Lookups at the same time: of all services, and of one. */
const share = { most: 64, mostOfService: 8 };

/** Reads the rules for addresses and lookups from the settings. */
export function addressesOf(settings: BalanceSettings): Pick<LocatingParts, 'rules' | 'own' | 'names' | 'lookUp'> {
  const { http, https, admin, haproxyMetrics, addresses } = settings;
  const { allowed, loopback, resolveIntervalMs: intervalMs } = addresses;
  const own = [http, https?.bind, admin, haproxyMetrics].filter((one) => one !== undefined);
  return {
    rules: addressRules({ allowed, loopback }),
    own,
    names: { intervalMs, ...share },
    lookUp: openLookUp(),
  };
}
