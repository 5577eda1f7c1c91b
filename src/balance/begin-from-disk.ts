import { formatDuration } from '../model/quantity.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import type { Assembled } from './assemble-balance.ts';
import type { BalanceParts } from './balance-parts.ts';
import { loadGuardedInstances } from './guard/guarded-instances-file.ts';
import { loadLastKnown } from './state/last-known.ts';
import type { BalancePaths } from './state/paths.ts';

/** Has the balancer serve the catalog that an earlier run saved, with its guarded instances, until the registry answers. */
export async function beginFromDisk(
  { limits, holding: { holdMs } }: BalanceSettings,
  { logger, now, wall }: BalanceParts,
  paths: BalancePaths,
  { balancer, heldEntries, guarding, registryStatus, stored, certificates }: Assembled,
): Promise<void> {
  const lastKnown = await loadLastKnown(paths.lastKnown, limits, { now: now(), wall: wall(), holdMs });
  if (lastKnown === undefined) return;
  if ('unusable' in lastKnown) {
    logger.warn(
      { event: 'last-known-unusable', reason: lastKnown.unusable },
      'pointsman cannot use the catalog on disk',
    );
    return;
  }
  // A clock that was set back must not make the age negative.
  const ageMs = Math.max(0, wall().getTime() - lastKnown.savedAt.getTime());
  const age = formatDuration(ageMs);
  logger.info(
    { event: 'last-known', revision: String(lastKnown.catalog.revision), age },
    `pointsman serves the catalog from ${age} ago until the registry answers`,
  );
  registryStatus.onLastKnown(lastKnown.savedAt, ageMs);
  balancer.preload(lastKnown.catalog);
  heldEntries.holder.resume(lastKnown.point, lastKnown.entries);
  stored.resume(lastKnown.entries);
  await certificates?.resume();
  const guarded = await loadGuardedInstances(paths.holds, wall());
  if ('unusable' in guarded) {
    logger.warn({ event: 'holds-unusable', reason: guarded.unusable }, 'pointsman lost the list of held entries');
  } else guarding.resume(guarded, lastKnown.catalog);
}
