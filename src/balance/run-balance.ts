import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Registry as MetricsRegistry } from 'prom-client';
import { refusing } from '../catalog/limits.ts';
import { formatDuration } from '../model/duration.ts';
import { Fault } from '../model/fault.ts';
import { catalogKeys, type Registry, type RegistryEvent } from '../registry/registry.ts';
import { followReleases, type Release, releasedBy } from '../registry/releases.ts';
import { listConflicts } from '../render/conflict.ts';
import { loadTemplates } from '../render/load-templates.ts';
import type { Templates } from '../render/render.ts';
import { watchTemplates } from '../render/watch-templates.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { isSafeText } from '../template/safe-text.ts';
import { aborted } from '../waiting/aborted.ts';
import { deferred } from '../waiting/deferred.ts';
import { joinFleet } from './acknowledge/fleet-member.ts';
import { addressesOf } from './addresses/addresses-of.ts';
import { FileKeeping } from './file-keeping.ts';
import { frameSettingsOf } from './frame-settings.ts';
import { HeldEntries } from './guard/held-entries.ts';
import type { BalanceHealth } from './health.ts';

import { createBalanceMetrics } from './observe/metrics.ts';
import { blocking } from './observe/troubles.ts';
import { openHaproxy } from './open-haproxy.ts';

import { BalanceQueries } from './queries/queries.ts';
import type { Ending } from './reconcile/ending.ts';
import { logFaults, releaseOf, tellVersionChange } from './reconcile/haproxy-version.ts';

import { lockFolder } from './state/folder-lock.ts';
import { loadLastKnown } from './state/last-known.ts';
import { type BalancePaths, pathsOf } from './state/paths.ts';
import { provideShipped } from './state/shipped-files.ts';

import { Certificates } from './tls/certificates.ts';
import { wireBalancer } from './wire-balancer.ts';

export type BalanceParts = {
  readonly registry: Registry;
  /** Where it acknowledges what it serves; undefined where nobody waits for that. */
  readonly fleet: Registry | undefined;
  /** Where operators release what is held, if that is not `registry`. */
  readonly releases: Registry | undefined;
  /** The root of pointsman's own layout in etcd. */
  readonly root: string | undefined;
  readonly metrics: MetricsRegistry;
  readonly logger: Logger;
  /** The folder with the templates that ship with pointsman. */
  readonly shippedTemplates: string;
  /** The folder with what ships with pointsman for HAProxy beside those. */
  readonly shippedForHaproxy: string;
  /** Aborted to end it. */
  readonly signal: AbortSignal;
  /** What becomes of HAProxy then. */
  readonly ending: () => Ending;
  /** Aborted when the end is to take no longer. */
  readonly hurry: AbortSignal;
  readonly now: () => number;
  readonly wall: () => Date;
  readonly hostname: string;
  /** What own files see of the environment, and what their commands are started with. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens a registry whose root is that of all keys. */
  readonly openForeign: () => Promise<Registry>;
  /** pointsman's own. */
  readonly version: string;
  /** Serves health and metrics from the beginning; the answer ends it. */
  readonly serveAdmin: (health: () => BalanceHealth, queries: BalanceQueries) => Promise<() => Promise<void>>;
};

const probeMs = 10_000;
/** How long a start waits until others know of this balancer, in ms: with what the registry says, and with what is on the disk. */
const knownMs = { fresh: 1000, fromDisk: 250 };

/** Runs a balancer until `signal` aborts. Rejects with a Fault when it cannot begin. */
export async function runBalance(settings: BalanceSettings, parts: BalanceParts): Promise<void> {
  const paths = pathsOf(resolve(settings.dir));
  checkFolder(paths.runtimeSocket);
  const { signal, hostname: host, wall } = parts;
  const { dir } = settings;
  const unlock = await lockFolder({ dir, path: paths.lock, pid: process.pid, host, since: wall(), signal });
  try {
    await runAlone(settings, parts, paths);
  } finally {
    await unlock();
  }
}

/** Runs a balancer whose folder is nobody else's. */
async function runAlone(settings: BalanceSettings, parts: BalanceParts, paths: BalancePaths): Promise<void> {
  const { registry, logger, signal, now } = parts;
  const frame = frameSettingsOf(settings, paths);
  const templates = await loadTemplates(parts.shippedTemplates, settings.templates);
  const metrics = createBalanceMetrics(parts.metrics);
  const { https } = settings;
  const held = new HeldEntries({
    ...{ metrics, logger, now, wall: parts.wall },
    holdMs: settings.holding.holdMs,
    deletions: { ...settings.holding, minimum: settings.guard.minimum, windowMs: settings.guard.windowMs },
    refuse: refusing(settings.limits),
    onEvent: (event) => onEvent(event),
    onChange: (more) => {
      balancer.onHeldChanged();
      if (more) dropEndedOverrides();
      acknowledging?.changed();
    },
  });
  let haproxyVersion: string | undefined;
  const {
    balancer,
    haproxy,
    storage,
    certificates,
    serverPems,
    closeFiles,
    unproven,
    link,
    holds,
    guarding,
    locating,
    openFiles,
    overriding,
  } = await wireBalancer({
    ...parts,
    ...settings,
    paths,
    frame,
    addresses: addressesOf(settings),
    templates,
    probeMs,
    metrics,
    held,
    location: registry.location,
    onOverridesExpired: dropEndedOverrides,
    onHaproxyVersion: (version) => {
      const before = haproxyVersion;
      haproxyVersion = releaseOf(version);
      if (before === undefined || before === haproxyVersion) return;
      tellVersionChange(before, haproxyVersion, logger);
      acknowledging?.changed();
    },
    onUnproven: () => acknowledging?.changed(),
    values: () => (fileKeeping === undefined ? [] : held.values()),
    openHaproxy: (onExit, onHealth) => openHaproxy(settings.haproxy, { ...parts, paths, onExit, onHealth }),
    provideShipped: () => provideShipped(parts.shippedForHaproxy, paths, settings.maintenancePage),
    openCertificates:
      https &&
      ((told) =>
        new Certificates({
          folder: resolve(https.certificates),
          own: paths.certificates,
          list: paths.certificateList,
          metrics,
          logger,
          ...told,
        })),
  });
  const fileKeeping = await FileKeeping.prepare(settings.files, {
    ...parts,
    metrics,
    holdMs: settings.holding.holdMs,
  });
  let inUse = templates;
  const acknowledging =
    parts.fleet &&
    (await joinFleet({
      ...parts,
      id: settings.id,
      registry: parts.fleet,
      admin: settings.admin,
      paths,
      haproxy,
      link,
      guarding,
      unproven,
      heldEntries: held,
      metrics,
      haproxyVersion: () => haproxyVersion,
      templates: () => inUse,
      isCurrent: (workerPid) => balancer.isCurrent(workerPid),
    }));
  const observer = fileKeeping?.observing(acknowledging) ?? acknowledging;
  if (observer !== undefined) balancer.observe(observer);

  // What is served until the registry answers, and how old that is.
  let fromDisk: Date | undefined;
  let hasView = false;
  const lastKnown = await loadLastKnown(paths.lastKnown, settings.limits, {
    now: now(),
    wall: parts.wall(),
    holdMs: settings.holding.holdMs,
  });
  if (lastKnown !== undefined && 'unusable' in lastKnown) {
    logger.warn({ event: 'last-known-unusable', reason: lastKnown.unusable }, 'the catalog on disk is not usable');
  } else if (lastKnown !== undefined) {
    fromDisk = lastKnown.savedAt;
    hasView = true;
    const age = formatDuration(ageOf(lastKnown.savedAt, parts.wall()));
    const { revision } = lastKnown.catalog;
    logger.info(
      { event: 'last-known', revision: String(revision), age },
      `serving the catalog of ${age} ago until the registry answers`,
    );
    balancer.preload(lastKnown.catalog);
    held.resume(lastKnown.point, lastKnown.entries);
    const kept = await holds.load();
    if ('unusable' in kept) {
      logger.warn({ event: 'holds-unusable', reason: kept.unusable }, 'what was held is not known any more');
    } else guarding.resume(kept, lastKnown.catalog);
  }

  let connection: { connected: boolean; reason: string | undefined; since: number } = {
    connected: false,
    reason: 'not connected yet',
    since: now() - (fromDisk === undefined ? 0 : ageOf(fromDisk, parts.wall())),
  };
  const onConnection = (event: Extract<RegistryEvent, { kind: 'connected' | 'disconnected' }>) => {
    const connected = event.kind === 'connected';
    metrics.registryConnected.set(connected ? 1 : 0);
    if (connected) logger.info({ event: 'registry-connected', member: event.member }, 'following the registry');
    else {
      if (connection.connected) metrics.registryDisconnects.inc();
      // Told at every attempt: once is enough for each reason.
      const level = !connection.connected && connection.reason === event.reason ? 'debug' : 'warn';
      logger[level](
        { event: 'registry-disconnected', reason: event.reason },
        hasView
          ? 'registry lost; what was known is served'
          : 'registry not reached; nothing is served before it answers',
      );
    }
    const since = connection.connected === connected ? connection.since : now();
    connection = { connected, reason: connected ? undefined : event.reason, since };
  };
  const health = (): BalanceHealth => {
    const status = balancer.status();
    const { catalog } = status;
    metrics.instances.reset();
    locating.measure();
    metrics.registryStale.set(connection.connected ? 0 : (now() - connection.since) / 1000);
    const services: Record<string, number> = {};
    for (const service of catalog.services.values()) {
      services[service.name] = service.instances.size;
      metrics.instances.set({ service: service.name }, service.instances.size);
    }
    const conflicts = listConflicts(status.conflicts);
    const ready = status.serving && blocking(status.troubles).length === 0;
    metrics.ready.set(ready ? 1 : 0);
    return {
      id: settings.id,
      ready,
      serving: status.serving,
      troubles: status.troubles,
      registry: {
        connected: connection.connected,
        reason: connection.reason,
        staleMs: connection.connected ? 0 : Math.round(now() - connection.since),
        lastKnown: fromDisk?.toISOString(),
        location: registry.location,
        root: parts.root,
        cluster: catalog.cluster || undefined,
      },
      haproxyVersion,
      revisionSeen: String(status.revisionSeen),
      revisionApplied: String(status.revisionApplied),
      services,
      acknowledging: acknowledging?.status(),
      pendingReload: status.pending,
      refused: status.refused,
      storage: storage.status(),
      drift: status.drift,
      quarantined: status.quarantined,
      guarded: guarding.status(),
      held: [...held.status(), ...(fileKeeping?.held() ?? [])],
      overrides: overriding.status(catalog, (key) => held.has(key)),
      certificates: certificates?.status() ?? [],
      files: fileKeeping?.status() ?? [],
      rejected: status.rejected,
      conflicts: conflicts.listed,
      moreConflicts: conflicts.more,
    };
  };

  const closeAdmin = await parts.serveAdmin(
    health,
    new BalanceQueries({ balancer, guarding, heldEntries: held, link, registry: parts.fleet, now }),
  );
  const first = deferred();
  signal.addEventListener('abort', () => first.resolve(), { once: true });
  if (fromDisk !== undefined) first.resolve();
  function dropEndedOverrides(): void {
    // Called in the middle of an event; what is let go of is an event of its own.
    queueMicrotask(() => held.dropEndedOverrides(balancer.status().catalog));
  }
  // A declaration, because what is held of the catalog on disk may end before this line is reached.
  function onEvent(event: RegistryEvent): void {
    if (event.kind === 'connected' || event.kind === 'disconnected') onConnection(event);
    acknowledging?.onEvent(event);
    balancer.offer(event);
    fileKeeping?.onEvent(event);
    for (const release of releasedBy(event)) onRelease(release);
    if (event.kind === 'snapshot') {
      fromDisk = undefined;
      hasView = true;
      first.resolve();
    }
  }
  const onRelease = (release: Release) => {
    guarding.release(release);
    if (release === '*') fileKeeping?.release();
  };
  acknowledging?.begin();
  const follower = registry.follow((event) => held.take(event), catalogKeys);
  const releases =
    parts.releases &&
    followReleases(parts.releases, logger, (release) => {
      held.release(release);
      onRelease(release);
    });
  try {
    // Without a view of the registry there is nothing to serve, and answering 404 would be worse than not answering.
    await first.promise;
    const started = now();
    // An instance that leaves has to know of this balancer before HAProxy sends it a request.
    const longestMs = fromDisk === undefined ? knownMs.fresh : knownMs.fromDisk;
    await Promise.race([acknowledging?.known(longestMs), aborted(signal)]);
    if (!signal.aborted) {
      await balancer.start().catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
    if (!signal.aborted) {
      haproxyVersion ??= (await haproxy.processes())?.version;
      acknowledging?.changed();
      const ms = Math.round(now() - started);
      logger.info(
        { event: 'serving', http: frame.bind, haproxy: haproxyVersion, ms },
        `serving on http://${frame.bind}`,
      );
      logFaults(haproxyVersion, logger);
      certificates?.watch();
      serverPems.watch();
      const endWatch = watchOwnTemplates(settings, parts, templates, (fresh) => {
        inUse = fresh;
        balancer.useTemplates(fresh);
      });
      await fileKeeping?.begin(balancer.effective.requested.catalog);
      await aborted(signal);
      const text = parts.ending() === 'leave' ? 'stopping; HAProxy goes on serving' : 'stopping';
      logger.info({ event: 'stopping', haproxy: parts.ending() }, text);
      await endWatch();
    }
  } finally {
    // A start that failed ends nothing that served before it.
    const ending = signal.aborted ? parts.ending() : haproxy.startedHere ? 'stop' : 'leave';
    await Promise.all([follower.close(), releases?.close()]);
    await closeFiles();
    guarding.close();
    locating.close();
    openFiles.close();
    held.close();
    await holds.flush();
    overriding.close();
    await fileKeeping?.close();
    const left = settings.haproxy.mode === 'managed' ? 'remove' : 'leave';
    await balancer.stop(settings.stopTimeoutMs, ending);
    // Where HAProxy goes on serving, the key goes with its lease: whoever leaves meanwhile still waits for this balancer.
    await acknowledging?.close(ending === 'leave' ? 'successor' : left);
    await closeAdmin();
  }
}

/** In ms. A clock that was set back makes nothing younger than now. */
const ageOf = (savedAt: Date, wall: Date): number => Math.max(0, wall.getTime() - savedAt.getTime());

function watchOwnTemplates(
  { templates: own }: BalanceSettings,
  { shippedTemplates: shipped, logger }: BalanceParts,
  current: Templates,
  onTemplates: (templates: Templates) => void,
): () => Promise<void> {
  if (own === undefined) return async () => undefined;
  return watchTemplates({ shipped, own, current, logger, onTemplates });
}

/** Unix sockets have a short limit for their path, and HAProxy's files one set of characters that needs no quoting. */
function checkFolder(socketPath: string): void {
  if (!isSafeText(socketPath)) {
    throw new Fault('settings', `the path ${socketPath} has a character that a haproxy.cfg would need quotes for`, {
      where: '--dir',
      hint: 'use letters, digits and . _ / - only',
    });
  }
  // sun_path has 108 bytes, and HAProxy binds under a temporary name that is up to 17 longer.
  if (Buffer.byteLength(socketPath) > 90) {
    throw new Fault('settings', `the path ${socketPath} is too long for a unix socket`, {
      where: '--dir',
      hint: 'choose a folder with a path of at most 70 characters',
    });
  }
}
