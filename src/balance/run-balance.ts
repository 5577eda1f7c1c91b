import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { catalogKeys } from '../registry/registry.ts';
import { followReleases } from '../registry/releases.ts';
import { watchTemplates } from '../render/load-templates.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import { isSafeText } from '../template/safe-text.ts';
import { aborted } from '../waiting/time-limit.ts';
import { type Assembled, assembleBalance } from './assemble-balance.ts';
import type { BalanceParts } from './balance-parts.ts';
import { beginFromDisk } from './begin-from-disk.ts';
import { describeFleetLimit } from './fleet-limits/fleet-limits.ts';
import { type BalanceHealth, healthOf } from './health.ts';
import { keepHistory } from './history/keep-history.ts';
import { TrafficHistory } from './history/traffic-history.ts';
import { LameDuck } from './lame-duck.ts';
import { measureFiles } from './own-files.ts';
import { BalanceQueries } from './queries/queries.ts';
import type { Ending } from './reconcile/ending.ts';
import { keepStatus } from './service-status.ts';
import { ErrorPages, namesPage } from './state/error-pages.ts';
import { lockFolder } from './state/folder-lock.ts';
import { type BalancePaths, pathsOf } from './state/paths.ts';
import { refusedCertificates } from './tls/certificates.ts';

/** How long a service manager waits for the registry, in ms. Whatever it starts after pointsman is not to wait for etcd. */
const startedAfterMs = 20_000;

/** How long a start waits until others can see this balancer, in ms: with a view of the registry, and with a catalog from disk. */
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

/** Runs a balancer while no other process uses its folder. */
async function runAlone(settings: BalanceSettings, parts: BalanceParts, paths: BalancePaths): Promise<void> {
  const { registry, fleet, releases, logger, leaving, signal, end, now, wall } = parts;
  const lameDuck = new LameDuck({ lameDuckMs: settings.lameDuckMs, leaving, signal, end, logger, now });
  const assembled = await assembleBalance(settings, parts, paths);
  const { balancer, haproxy, link, guarding, ejecting, heldEntries, acknowledging, onRelease } = assembled;
  await beginFromDisk(settings, parts, paths, assembled);
  const history = new TrafficHistory();
  const openRequests = () => acknowledging?.openRequests ?? new Map();
  const queries = new BalanceQueries({
    ...{ balancer, guarding, ejecting, heldEntries, link, history, openRequests, now, wall },
    registry: fleet,
    secretProblem: (file) => assembled.secrets.problemOf(file),
    certificateProblem: (service) => assembled.clientCertificates.problemOf(service),
    id: settings.id,
    ownCertificates: () => ({
      acme: settings.acme !== undefined,
      asking: assembled.certificateDemand.asking(),
      refused: refusedCertificates(assembled.stored, assembled.certificates),
    }),
    fleetLimit: () => {
      const status = assembled.fleetLimits?.status();
      return status && describeFleetLimit(status);
    },
  });
  const health = () => measuredHealth(settings, parts, assembled, lameDuck);
  const closeAdmin = await parts.serveAdmin(health, queries, assembled.planner);
  acknowledging?.begin();
  assembled.fleetLimits?.begin();
  const follower = registry.follow((event) => heldEntries.take(event), catalogKeys);
  const releaseFollower =
    releases &&
    followReleases(releases, logger, (release) => {
      // An operator wrote it to another registry than the followed one.
      heldEntries.holder.release(release);
      onRelease(release);
    });
  const endHistory = keepHistory({ history, link, now });
  try {
    await serve(settings, parts, assembled, lameDuck);
  } finally {
    endHistory();
    // A start that failed ends no HAProxy that served before it.
    const ending = signal.aborted ? parts.ending() : haproxy.startedHere ? 'stop' : 'leave';
    await Promise.all([follower.close(), releaseFollower?.close()]);
    // After a failed start without a running HAProxy nothing serves, so nobody has to wait for this balancer.
    const nothingServes = ending === 'leave' && !signal.aborted && (await haproxy.processes()) === undefined;
    await endBalance(settings, assembled, ending, nothingServes);
    await closeAdmin();
  }
}

/** Starts to serve, and resolves when `signal` aborts. */
async function serve(
  settings: BalanceSettings,
  parts: BalanceParts,
  assembled: Assembled,
  lameDuck: LameDuck,
): Promise<void> {
  const { signal, leaving, now, logger, manager } = parts;
  const { balancer, haproxy, haproxyVersion, acknowledging, registryStatus, fileKeeper, baseSettings } = assembled;
  const { certificates, serverPems, secrets, sealing } = assembled;
  // Without a view of the registry there is nothing to serve. An answer of 404 would be worse than none.
  const stillWaiting = () => manager.started('pointsman waits for the registry; HAProxy does not serve yet');
  const waiting = setTimeout(stillWaiting, startedAfterMs);
  await Promise.race([registryStatus.view, aborted(signal)]);
  clearTimeout(waiting);
  const started = now();
  // An instance that leaves has to see this balancer before HAProxy sends the instance a request.
  const longestMs = registryStatus.fromDisk === undefined ? knownMs.fresh : knownMs.fromDisk;
  await Promise.race([acknowledging?.known(longestMs), aborted(signal)]);
  if (signal.aborted) return;
  const errorPages = openErrorPages(settings, assembled, logger);
  await errorPages.prepare();
  await balancer.start().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  if (signal.aborted) return;
  if (haproxyVersion.current === undefined) haproxyVersion.onStarted((await haproxy.processes())?.version);
  acknowledging?.changed();
  const { bind } = baseSettings;
  const about = { http: bind, haproxy: haproxyVersion.current, ms: Math.round(now() - started) };
  const { baseWaits } = balancer.servingState();
  logger.info(
    { event: 'serving', ...about },
    baseWaits
      ? `serving with the settings of before, until HAProxy has loaded http://${bind}`
      : `serving on http://${bind}`,
  );
  const status = keepStatus({
    manager,
    bind,
    state: () => balancer.servingState(),
    signal: AbortSignal.any([signal, leaving]),
  });
  lameDuck.serves(() => {
    manager.says('pointsman is about to stop: not ready any more, HAProxy still serves');
    balancer.leave();
  });
  haproxyVersion.logFaults();
  certificates?.watch();
  sealing.watch();
  serverPems.watch();
  secrets.watch();
  errorPages.watch();
  await assembled.certificateOrders?.begin();
  const endWatch = watchOwnTemplates(settings, parts, assembled);
  fileKeeper?.serve(balancer.effective.requested.catalog);
  fileKeeper?.keep();
  await fileKeeper?.follow();
  await status;
  await aborted(signal);
  const text = parts.ending() === 'leave' ? 'pointsman stops; HAProxy keeps serving' : 'stopping';
  manager.stopping(text);
  logger.info({ event: 'stopping', haproxy: parts.ending() }, text);
  await errorPages.close();
  await endWatch?.();
}

async function endBalance(
  settings: BalanceSettings,
  assembled: Assembled,
  ending: Ending,
  nothingServes: boolean,
): Promise<void> {
  const { balancer, heldEntries, acknowledging, fileKeeper, fleetLimits } = assembled;
  // First, so that another balancer leads while this one still ends.
  await assembled.certificateOrders?.close();
  await assembled.close();
  heldEntries.holder.close();
  await fileKeeper?.close();
  await fleetLimits?.close();
  await assembled.sealing.close();
  await balancer.stop(settings.stopTimeoutMs, ending);
  // If HAProxy goes on serving, the key stays until its lease ends: an instance that leaves meanwhile still waits for this balancer.
  const withoutSuccessor = settings.haproxy.mode === 'managed' ? 'remove' : 'leave';
  const key = ending === 'leave' ? 'successor' : withoutSuccessor;
  await acknowledging?.close(nothingServes ? 'remove' : key);
}

/** The health, which also brings the metrics up to date that follow from it. */
function measuredHealth(
  settings: BalanceSettings,
  parts: BalanceParts,
  assembled: Assembled,
  lameDuck: LameDuck,
): BalanceHealth {
  const { balancer, heldEntries, acknowledging, fileKeeper, registryStatus, metrics, locating } = assembled;
  locating.lookups.measure();
  const status = balancer.status();
  const registry = registryStatus.status();
  const foreign = fileKeeper?.held() ?? [];
  const health = healthOf({
    id: settings.id,
    leaving: lameDuck.status(),
    balancer: status,
    registry: {
      ...registry,
      staleMs: Math.round(registry.staleMs),
      location: parts.registry.location,
      root: parts.root,
    },
    haproxyVersion: assembled.haproxyVersion.current,
    acknowledging: acknowledging?.status(),
    fleetLimits: assembled.fleetLimits?.status(),
    storage: assembled.storage.status(),
    guarded: assembled.guarding.status(),
    ejected: assembled.ejecting.status(),
    held: [...heldEntries.status(), ...foreign],
    overrides: assembled.overriding.status(status.catalog, (key) => heldEntries.holder.held.has(key)),
    certificates: assembled.certificates?.status() ?? [],
    files: fileKeeper?.status() ?? [],
  });
  measureFiles(metrics, foreign, health.files);
  metrics.acme.hosts.set(assembled.certificateDemand.size);
  metrics.registry.registryStale.set(registry.staleMs / 1000);
  metrics.health.ready.set(health.ready ? 1 : 0);
  metrics.health.leaving.set(health.leaving === undefined ? 0 : 1);
  metrics.health.instances.reset();
  for (const [service, count] of Object.entries(health.services)) metrics.health.instances.set({ service }, count);
  return health;
}

function openErrorPages(
  { dir, errorPages }: BalanceSettings,
  { balancer, baseSettings, files, troubles }: Assembled,
  logger: Logger,
): ErrorPages {
  const pages = new ErrorPages({
    folder: errorPages === undefined ? pathsOf(resolve(dir)).errorPages : resolve(errorPages),
    copies: baseSettings.errorPages,
    logger,
    isServed: (file) => namesPage(balancer.served, file),
    onReload: (file) => balancer.reloadFor(file),
    onChange: () => balancer.fileChanged(),
    onTrouble: (reason) => troubles.is('error-pages', reason),
  });
  const others = files.restoreOthers;
  files.restoreOthers = async () => [...((await others?.()) ?? []), ...(await pages.restore())];
  return pages;
}

function watchOwnTemplates(
  { templates: own }: BalanceSettings,
  { shippedTemplates: shipped, logger }: BalanceParts,
  { balancer }: Assembled,
): (() => Promise<void>) | undefined {
  if (own === undefined) return undefined;
  const onTemplates: Parameters<typeof watchTemplates>[0]['onTemplates'] = (fresh) => balancer.useTemplates(fresh);
  return watchTemplates({ shipped, own, current: balancer.templates, logger, onTemplates });
}

/** The path of a Unix socket must be short, and a path in haproxy.cfg may have only characters that need no quotes. */
function checkFolder(socketPath: string): void {
  if (!isSafeText(socketPath)) {
    throw new Fault('settings', `the path ${socketPath} has a character that needs quotes in haproxy.cfg`, {
      where: '--dir',
      hint: 'use only letters, digits and . _ / -',
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
