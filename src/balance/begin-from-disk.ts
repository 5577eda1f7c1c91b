import type { Logger } from 'pino';
import type { CatalogLimits } from '../catalog/limits.ts';
import { formatDuration } from '../model/duration.ts';
import type { GuardedInstancesFile } from './guard/guarded-instances-file.ts';
import type { Guarding } from './guard/guarding.ts';
import type { HeldEntries } from './guard/held-entries.ts';
import type { Balancer } from './reconcile/balancer.ts';
import type { RegistryConnection } from './registry-connection.ts';
import { loadLastKnown } from './state/last-known.ts';
import type { BalancePaths } from './state/paths.ts';

type FromDiskParts = {
  readonly paths: Pick<BalancePaths, 'lastKnown'>;
  readonly limits: CatalogLimits;
  /** See HeldEntries. */
  readonly holdMs: number | undefined;
  readonly balancer: Pick<Balancer, 'preload'>;
  readonly heldEntries: Pick<HeldEntries, 'resume'>;
  readonly holds: Pick<GuardedInstancesFile, 'load'>;
  readonly guarding: Pick<Guarding, 'resume'>;
  readonly connection: Pick<RegistryConnection, 'onLastKnown'>;
  readonly logger: Logger;
  readonly now: () => number;
  readonly wall: () => Date;
};

/** Has the balancer serve the catalog that an earlier run saved, with its guarded instances, until the registry answers. */
export async function beginFromDisk(parts: FromDiskParts): Promise<void> {
  const { paths, limits, holdMs, balancer, heldEntries, holds, guarding, connection, logger, now, wall } = parts;
  const lastKnown = await loadLastKnown(paths.lastKnown, limits, { now: now(), wall: wall(), holdMs });
  if (lastKnown === undefined) return;
  if ('unusable' in lastKnown) {
    logger.warn({ event: 'last-known-unusable', reason: lastKnown.unusable }, 'the catalog on disk is not usable');
    return;
  }
  // A clock that was set back must not make the age negative.
  const ageMs = Math.max(0, wall().getTime() - lastKnown.savedAt.getTime());
  const age = formatDuration(ageMs);
  logger.info(
    { event: 'last-known', revision: String(lastKnown.catalog.revision), age },
    `serving the catalog of ${age} ago until the registry answers`,
  );
  connection.onLastKnown(lastKnown.savedAt, ageMs);
  balancer.preload(lastKnown.catalog);
  heldEntries.resume(lastKnown.point, lastKnown.entries);
  const guarded = await holds.load();
  if ('unusable' in guarded) {
    logger.warn({ event: 'holds-unusable', reason: guarded.unusable }, 'what was held is not known any more');
  } else guarding.resume(guarded, lastKnown.catalog);
}
