import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Registry as MetricsRegistry } from 'prom-client';
import { refusing } from '../catalog/limits.ts';
import type { Registry, RegistryEvent } from '../registry/registry.ts';
import { type Release, releasedBy } from '../registry/releases.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { joinFleet } from './acknowledge/fleet-member.ts';
import { addressesOf } from './addresses/addresses-of.ts';
import { baseSettingsOf } from './base-settings.ts';
import { HeldEntries } from './guard/held-entries.ts';
import { HaproxyVersion } from './haproxy-version.ts';
import type { BalanceHealth } from './health.ts';
import { createBalanceMetrics } from './metrics.ts';
import { openHaproxy } from './open-haproxy.ts';
import { observingFiles, prepareOwnFiles } from './own-files.ts';
import type { BalanceQueries } from './queries/queries.ts';
import type { Ending } from './reconcile/ending.ts';
import { RegistryConnection } from './registry-connection.ts';
import type { BalancePaths } from './state/paths.ts';
import { provideShipped } from './state/shipped-files.ts';
import { Certificates } from './tls/certificates.ts';
import { wireBalancer } from './wire-balancer.ts';

export type BalanceParts = {
  readonly registry: Registry;
  /** The registry of the acknowledgements; undefined where nobody waits for them. */
  readonly fleet: Registry | undefined;
  /** The registry where operators release services, if it is not `registry`. */
  readonly releases: Registry | undefined;
  /** The prefix of the keys of pointsman's own layout in etcd. */
  readonly root: string | undefined;
  readonly metrics: MetricsRegistry;
  readonly logger: Logger;
  /** The folder with the templates that ship with pointsman. */
  readonly shippedTemplates: string;
  /** The folder with the other files for HAProxy that ship with pointsman. */
  readonly shippedForHaproxy: string;
  /** Aborted when the balancer is to end. */
  readonly signal: AbortSignal;
  /** How HAProxy ends then. */
  readonly ending: () => Ending;
  /** Aborted when the end is to take no longer. */
  readonly hurry: AbortSignal;
  readonly now: () => number;
  readonly wall: () => Date;
  readonly hostname: string;
  /** The environment for the templates and the commands of own files. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a registry whose root is that of all keys. */
  readonly openForeign: () => Promise<Registry>;
  /** The version of pointsman. */
  readonly version: string;
  /** Serves health and metrics from the beginning; the answer ends it. */
  readonly serveAdmin: (health: () => BalanceHealth, queries: BalanceQueries) => Promise<() => Promise<void>>;
};

const probeMs = 10_000;

export type Assembled = Awaited<ReturnType<typeof assembleBalance>>;

/** Joins the balancer with the registry, the fleet and the own files. */
export async function assembleBalance(settings: BalanceSettings, parts: BalanceParts, paths: BalancePaths) {
  const { registry, fleet, logger, signal, hurry, now, wall, env, openForeign, hostname, version } = parts;
  const { id, admin, https, limits, holding, guard } = settings;
  const baseSettings = baseSettingsOf(settings, paths);
  const templates = await loadTemplates(parts.shippedTemplates, settings.templates);
  const metrics = createBalanceMetrics(parts.metrics);
  const connection = new RegistryConnection({ metrics: metrics.registry, logger, now });
  const { holdMs } = holding;
  const heldEntries = new HeldEntries({
    ...{ holdMs, logger, now, wall },
    metrics: metrics.held,
    deletions: { ...holding, minimum: guard.minimum, windowMs: guard.windowMs },
    refuse: refusing(limits),
    onEvent,
    onChange: (more) => {
      wired.balancer.onHeldChanged();
      if (more) dropEndedOverrides();
      acknowledging?.changed();
    },
  });
  const haproxyVersion = new HaproxyVersion(logger, () => acknowledging?.changed());
  const { reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs } = settings;
  const wired = await wireBalancer({
    ...{ paths, baseSettings, templates, limits, guard, heldEntries, metrics, logger, signal, now, wall },
    ...{ reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs, probeMs },
    addresses: addressesOf(settings),
    location: registry.location,
    onOverridesExpired: dropEndedOverrides,
    onHaproxyVersion: (current) => haproxyVersion.onConnected(current),
    onUnproven: () => acknowledging?.changed(),
    values: () => (fileKeeper === undefined ? [] : heldEntries.values()),
    openHaproxy: (onExit, onHealth) =>
      openHaproxy(settings.haproxy, { paths, logger, signal, hurry, onExit, onHealth }),
    provideShipped: () => provideShipped(parts.shippedForHaproxy, paths, settings.maintenancePage),
    openCertificates:
      https &&
      ((callbacks) =>
        new Certificates({
          folder: resolve(https.certificates),
          own: paths.certificates,
          list: paths.certificateList,
          metrics: metrics.certificates,
          logger,
          ...callbacks,
        })),
  });
  const { balancer, haproxy, link, guarding, unproven } = wired;
  const ownFiles = { env, openForeign, metrics: metrics.files, logger, now, wall, holdMs };
  const fileKeeper = await prepareOwnFiles(settings.files, ownFiles);
  const acknowledging =
    fleet &&
    (await joinFleet({
      ...{ id, registry: fleet, admin, hostname, version, paths, haproxy, link, guarding, unproven, heldEntries },
      ...{ logger, now, wall },
      metrics: metrics.acknowledge,
      haproxyVersion: () => haproxyVersion.current,
      templates: () => balancer.templates,
      isCurrent: (workerPid) => balancer.watch.isCurrent(workerPid),
    }));
  const observer = fileKeeper === undefined ? acknowledging : observingFiles(fileKeeper, acknowledging);
  if (observer !== undefined) balancer.observe(observer);

  function dropEndedOverrides(): void {
    // In a microtask: this call comes in the middle of an event, and the release of an entry is another event.
    queueMicrotask(() => heldEntries.dropEndedOverrides(balancer.status().catalog));
  }
  function onEvent(event: RegistryEvent): void {
    connection.onEvent(event);
    acknowledging?.onEvent(event);
    balancer.offer(event);
    fileKeeper?.offer(event);
    for (const release of releasedBy(event)) onRelease(release);
  }
  function onRelease(release: Release): void {
    guarding.release(release);
    if (release === '*') fileKeeper?.release();
  }
  return {
    ...wired,
    ...{ baseSettings, metrics, connection, heldEntries, haproxyVersion, fileKeeper, acknowledging, onRelease },
  };
}
