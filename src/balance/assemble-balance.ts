import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { rejecting } from '../catalog/limits.ts';
import type { RegistryEvent } from '../registry/registry.ts';
import { type Release, releasedBy } from '../registry/releases.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { joinFleet } from './acknowledge/fleet-member.ts';
import { addressesOf } from './addresses/addresses-of.ts';
import type { BalanceParts } from './balance-parts.ts';
import { baseSettingsOf } from './base-settings.ts';
import { CertificateDemand } from './certificate-demand.ts';
import { CertificateOrders } from './certificate-orders.ts';
import { FleetLimits } from './fleet-limits/fleet-limits.ts';
import { HeldEntries } from './guard/held-entries.ts';
import { HaproxyVersion } from './haproxy-version.ts';
import { createBalanceMetrics } from './metrics.ts';
import { openHaproxy } from './open-haproxy.ts';
import { observingFiles, prepareOwnFiles } from './own-files.ts';
import { Planner } from './preview/planner.ts';
import { RegistryStatus } from './registry-status.ts';
import { readOrMakeOwner } from './state/owner.ts';
import type { BalancePaths } from './state/paths.ts';
import { provideShipped } from './state/shipped-files.ts';
import { storedFolder } from './tls/certificate-folder.ts';
import { Certificates, refusedCertificates } from './tls/certificates.ts';
import { observingHosts } from './tls/client-certificates.ts';
import { openSealingKeys } from './tls/sealing-key-file.ts';
import { StoredCertificates } from './tls/stored-certificates.ts';
import { wireBalancer } from './wire-balancer.ts';

const retryMs = 10_000;

export type Assembled = Awaited<ReturnType<typeof assembleBalance>>;

/** Joins the balancer with the registry, the fleet and the own files. */
export async function assembleBalance(settings: BalanceSettings, parts: BalanceParts, paths: BalancePaths) {
  const { registry, fleet, logger, signal, now, wall, hostname, version } = parts;
  const { id, admin, https, limits, holding, guard } = settings;
  const baseSettings = baseSettingsOf(settings, paths);
  const templates = await loadTemplates(parts.shippedTemplates, settings.templates);
  const metrics = createBalanceMetrics(parts.metrics);
  const registryStatus = new RegistryStatus({ metrics: metrics.registry, logger, now });
  const { holdMs } = holding;
  const heldEntries = new HeldEntries({
    ...{ holdMs, logger, now, wall },
    metrics: metrics.held,
    deletions: { ...holding, minimum: guard.minimum, windowMs: guard.windowMs },
    reject: rejecting(limits),
    onEvent,
    onChange: (more) => {
      wired.balancer.onHeldChanged();
      if (more) dropEndedOverrides();
      acknowledging?.changed();
    },
  });
  const sealing = await openSealingKeys({
    file: settings.sealingKeys === undefined ? undefined : resolve(settings.sealingKeys),
    logger,
    onChange: () => {
      wired.certificates?.look();
      certificateOrders?.look();
    },
  });
  const stored = new StoredCertificates({ own: join(paths.certificates, storedFolder), sealing, logger });
  const haproxyVersion = new HaproxyVersion(logger, () => acknowledging?.changed());
  const { reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs } = settings;
  const wired = await wireBalancer({
    ...{ paths, baseSettings, templates, limits, guard, heldEntries, metrics, logger, signal, now, wall },
    ...{ reloadIntervalMs, servicePace, mostOldWorkers, reuseIntervalMs, retryMs },
    addresses: addressesOf(settings),
    location: registry.location,
    onOverridesExpired: dropEndedOverrides,
    onHaproxyVersion: (current) => haproxyVersion.onConnected(current),
    onUnproven: () => acknowledging?.changed(),
    onCertificatesServed: () => acknowledging?.changed(),
    values: () => heldEntries.entriesOf(fileKeeper === undefined ? ['certificates'] : ['certificates', 'keys']),
    openHaproxy: (onExit, onHealth) =>
      openHaproxy(settings.haproxy, { paths, logger, signal, hurry: parts.hurry, onExit, onHealth }),
    provideShipped: () => provideShipped(parts.shippedForHaproxy, paths, settings.maintenancePage),
    secretsFolder: settings.secrets === undefined ? paths.secrets : resolve(settings.secrets),
    openCertificates:
      https &&
      ((callbacks) => {
        const { certificates: own, certificateList: list } = paths;
        const folder = https.certificates === undefined ? undefined : resolve(https.certificates);
        const parts = { folder, own, list, stored, metrics: metrics.certificates, logger, ...callbacks };
        return new Certificates(parts);
      }),
  });
  const { balancer, haproxy, link, guarding, unproven } = wired;
  const fileKeeper = await prepareOwnFiles(settings, parts, metrics.files);
  const acknowledging =
    fleet &&
    (await joinFleet({
      ...{ id, registry: fleet, admin, hostname, version, paths, haproxy, link, guarding, unproven, heldEntries },
      ...{ logger, now, wall },
      metrics: metrics.acknowledge,
      haproxyVersion: () => haproxyVersion.current,
      templates: () => balancer.templates,
      certificates: () => refusedCertificates(stored, wired.certificates),
      isCurrent: (workerPid) => balancer.watch.isCurrent(workerPid),
    }));
  const fleetLimits =
    fleet &&
    new FleetLimits({
      ...{ registry: fleet, id, link, logger },
      owner: await readOrMakeOwner(paths.owner, randomUUID),
      services: () => balancer.effective.guarded.services,
      served: () => balancer.served,
      ratesMap: baseSettings.ratesMap,
      read: () => wired.files.config.readRates(),
      write: (text) => wired.files.writeRates(text),
    });
  const certificateDemand = new CertificateDemand({
    rules: settings.acme,
    routes: () => balancer.status().desired.routeTable,
    certificates: () => wired.certificates,
  });
  const certificateOrders =
    fleet &&
    settings.acme &&
    new CertificateOrders({
      ...{ settings: settings.acme, id, registry: fleet, logger, now, wall },
      metrics: metrics.acme,
      env: parts.env,
      random: Math.random,
      held: (key) => heldEntries.holder.held.get(key),
      sealingKeys: () => sealing.keys,
      hosts: () => certificateDemand.ordered,
      onProblem: (reason) => wired.troubles.is('certificate-orders', reason),
    });
  const { ejecting, files, openFiles, quarantining, locating } = wired;
  const planner = new Planner({
    ...{
      balancer,
      guarding,
      ejecting,
      locating,
      openFiles,
      quarantining,
      heldEntries,
      files,
      baseSettings,
      limits,
      now,
      wall,
    },
    haproxyVersion: () => haproxyVersion.current,
  });
  const observer = fileKeeper === undefined ? acknowledging : observingFiles(fileKeeper, acknowledging);
  // Without HTTPS, no host asks for certificates.
  const askedForCertificates =
    baseSettings.https === undefined ? observer : observingHosts(wired.lookAtSecrets, observer);
  const observing = certificateOrders?.observing(askedForCertificates) ?? askedForCertificates;
  if (observing !== undefined) balancer.observe(observing);

  function dropEndedOverrides(): void {
    // In a microtask: this call comes in the middle of an event, and the release of an entry is another event.
    queueMicrotask(() => heldEntries.dropEndedOverrides(balancer.status().catalog));
  }
  function onEvent(event: RegistryEvent): void {
    if (stored.offer(event)) wired.certificates?.look();
    registryStatus.onEvent(event);
    acknowledging?.onEvent(event);
    balancer.offer(event);
    fileKeeper?.offer(event);
    for (const release of releasedBy(event)) onRelease(release);
    if (changesPolicy(event)) fleetLimits?.look();
  }
  function onRelease(release: Release): void {
    guarding.release(release);
    if (release === '*') fileKeeper?.release();
  }
  return {
    ...wired,
    ...{ baseSettings, metrics, registryStatus, heldEntries, haproxyVersion, fileKeeper, acknowledging, onRelease },
    fleetLimits,
    planner,
    ...{ sealing, stored, certificateDemand, certificateOrders },
  };
}

/** Whether a policy changed, so that a limit of the fleet may have begun. */
const changesPolicy = (event: RegistryEvent): boolean =>
  event.kind === 'snapshot' ||
  (event.kind === 'changes' &&
    event.changes.some((change) => (change.kind === 'put' ? change.entry.key : change.key).startsWith('services/')));
