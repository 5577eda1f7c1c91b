import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { addressRules } from '../../src/addresses/address-rules.ts';
import { openLookUp } from '../../src/addresses/look-up.ts';
import { defaultGuardPolicy, type GuardPolicy } from '../../src/balance/guard/guard.ts';
import { createBalanceMetrics } from '../../src/balance/metrics.ts';
import type { Balancer } from '../../src/balance/reconcile/balancer.ts';
import type { ServicePace } from '../../src/balance/reload/reload-pacing.ts';
import { loadLastKnown } from '../../src/balance/state/last-known.ts';
import { type BalancePaths, pathsOf } from '../../src/balance/state/paths.ts';
import { provideShipped } from '../../src/balance/state/shipped-files.ts';
import { wireBalancer } from '../../src/balance/wire-balancer.ts';
import { type CatalogLimits, defaultCatalogLimits } from '../../src/catalog/limits.ts';
import type { Processes } from '../../src/haproxy/haproxy.ts';
import { ManagedHaproxy, type ManagedOptions } from '../../src/haproxy/managed-haproxy.ts';
import { connectRuntime } from '../../src/haproxy/runtime-connection.ts';
import { revision } from '../../src/model/revision.ts';
import type { Change, Entry } from '../../src/registry/registry.ts';
import type { BaseSettings } from '../../src/render/base-view.ts';
import { loadTemplates } from '../../src/render/load-templates.ts';
import { startCommandTap } from './command-tap.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

/** The HAProxy that tests run: `HAPROXY_BIN`, or the machine's. */
export const haproxyBin = process.env['HAPROXY_BIN'] ?? 'haproxy';

export type TestBalancer = Awaited<ReturnType<typeof startBalancer>>;

export type TestBalancerOptions = {
  templates?: string;
  reloadIntervalMs?: number;
  /** How often the changes of one service may need a reload: without a bound if it is not given. */
  servicePace?: ServicePace;
  mostOldWorkers?: number;
  reuseIntervalMs?: number;
  guard?: Partial<GuardPolicy>;
  limits?: Partial<CatalogLimits>;
  zone?: string;
  /** Settings of the base configuration that differ from those of all tests. */
  baseSettings?: Partial<
    Pick<
      BaseSettings,
      'normalizePaths' | 'trustedProxies' | 'proxyProtocol' | 'accessLog' | 'hardStopAfterMs' | 'https' | 'acme'
    >
  >;
  serverTls?: string;
  /** The folder of users and keys. */
  secrets?: string;
  errorPages?: string;
  defaultErrorPages?: BaseSettings['defaultErrorPages'];
  /** The folder of an earlier balancer, to go on from what it left there. */
  dir?: string;
  /** The port of an earlier balancer. */
  port?: number;
  /** Another HAProxy than the one that tests run. */
  executable?: string;
  /** Milliseconds until a service in quarantine is tried again. */
  retryMs?: number;
  /** Called with every command that the balancer sends to HAProxy. */
  onCommand?: (line: string) => void;
  /** Called after each start of HAProxy, before the balancer learns that HAProxy serves. */
  onStarted?: (processes: Processes) => Promise<void>;
};

/** A balancer in this process with a real HAProxy. The test plays the registry. */
export async function startBalancer(options: TestBalancerOptions = {}) {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'pm-')));
  const paths = pathsOf(dir);
  const port = options.port ?? (await freePort());
  const lines: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const metricsRegistry = new MetricsRegistry();
  const limits = { ...defaultCatalogLimits, ...options.limits };
  const { onCommand } = options;
  const tapped = join(dir, 'run/tap.sock');
  const wired = await wireBalancer({
    ...(await partsOf(options, paths, port)),
    secretsFolder: options.secrets ?? paths.secrets,
    limits,
    metrics: createBalanceMetrics(metricsRegistry),
    logger,
    openHaproxy: async (onExit, onHealth) => openHaproxy(options, paths, { logger, onExit, onHealth }),
    socket: onCommand && tapped,
  });
  const { balancer, haproxy, link, holds, guarding, overriding } = wired;
  const tap = onCommand && (await startCommandTap(tapped, paths.runtimeSocket, onCommand));
  const clocks = { now: performance.now(), wall: new Date(), holdMs: undefined };
  const lastKnown = await loadLastKnown(paths.lastKnown, limits, clocks);
  if (lastKnown !== undefined && 'catalog' in lastKnown) balancer.preload(lastKnown.catalog);
  return {
    balancer,
    paths,
    link,
    haproxy,
    port,
    lines,
    dir,
    ...offersTo(balancer),
    metric: (name: string, labels: Readonly<Record<string, string>> = {}) => metricOf(metricsRegistry, name, labels),
    config: () => readFile(paths.config, 'utf8'),
    routes: () => readFile(paths.routesMap, 'utf8'),
    guarding,
    overriding,
    /** Runs commands that the balancer does not know of. */
    async command(...commands: readonly string[]): Promise<readonly string[]> {
      const path = paths.runtimeSocket;
      const connection = await connectRuntime({ path, greetingMs: 5000, answerMs: 5000, onLost: () => undefined });
      try {
        return await connection.run(commands);
      } finally {
        connection.close();
      }
    },
    /** `keep`: for another one that goes on from here. */
    async stop({ keep = false } = {}): Promise<void> {
      guarding.close();
      await holds.flush();
      overriding.close();
      await balancer.stop(0);
      await tap?.close();
      if (!keep) await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    },
  };
}

/** The settings of a balancer, as most tests need them. */
async function partsOf(options: TestBalancerOptions, paths: BalancePaths, port: number) {
  return {
    paths,
    baseSettings: {
      bind: `127.0.0.1:${port}`,
      bindHost: '127.0.0.1',
      reservedPorts: new Set([port]),
      runtimeSocket: paths.runtimeSocket,
      routesMap: paths.routesMap,
      ratesMap: paths.ratesMap,
      serverStates: paths.serverStates,
      successorSocket: paths.successorSocket,
      peersFolder: paths.peersFolder,
      hardStopAfterMs: 5000,
      maintenancePage: paths.maintenancePage,
      pauseScript: paths.pauseScript,
      matchScript: paths.matchScript,
      forwardAuthScript: paths.forwardAuthScript,
      forwardAuthSocket: paths.forwardAuthSocket,
      pemFolder: options.serverTls ?? paths.serverTls,
      authMap: paths.authMap,
      authKeys: paths.authKeys,
      clientCertificates: paths.clientCertificates,
      errorPages: options.errorPages ?? paths.errorPages,
      defaultErrorPages: options.defaultErrorPages,
      zone: options.zone,
      ...options.baseSettings,
    },
    templates: await loadTemplates(join(import.meta.dirname, '../../templates'), options.templates),
    guard: { ...defaultGuardPolicy, ...options.guard },
    addresses: {
      rules: addressRules({ allowed: [], loopback: true }),
      own: [],
      names: { intervalMs: 10_000, most: 64, mostOfService: 8 },
      lookUp: openLookUp(),
    },
    reloadIntervalMs: options.reloadIntervalMs ?? 20,
    servicePace: options.servicePace ?? { burst: 1, everyMs: 0 },
    mostOldWorkers: options.mostOldWorkers ?? 1000,
    reuseIntervalMs: options.reuseIntervalMs,
    retryMs: options.retryMs ?? 60_000,
    now: () => performance.now(),
    wall: () => new Date(),
    provideShipped: () => provideShipped(join(import.meta.dirname, '../../haproxy'), paths, undefined),
  };
}

function openHaproxy(
  { executable = haproxyBin, onStarted }: TestBalancerOptions,
  paths: BalancePaths,
  parts: Pick<ManagedOptions, 'logger' | 'onExit' | 'onHealth'>,
): ManagedHaproxy {
  const { config: configFile, masterSocket } = paths;
  const haproxy = new ManagedHaproxy({ executable, configFile, masterSocket, ...parts });
  const start = haproxy.start.bind(haproxy);
  haproxy.start = async () => {
    const processes = await start();
    await onStarted?.(processes);
    return processes;
  };
  return haproxy;
}

/** Plays the registry of a balancer. */
function offersTo(balancer: Pick<Balancer, 'offer' | 'status'>) {
  let at = balancer.status().revisionSeen + 1n;
  /** The revision that created each key. */
  const created = new Map<string, bigint>();
  const entry = (key: string, value: string): Entry => {
    const first = created.get(key) ?? at;
    created.set(key, first);
    const since = first === at ? {} : { created: revision(first) };
    return { key, value, revision: revision(at), ...since, leased: true };
  };
  return {
    snapshot(entries: Readonly<Record<string, string>>): void {
      at += 1n;
      for (const key of [...created.keys()]) if (!(key in entries)) created.delete(key);
      const map = new Map(Object.entries(entries).map(([key, value]) => [key, entry(key, value)]));
      balancer.offer({
        kind: 'snapshot',
        history: { kind: 'first' },
        revision: revision(at),
        cluster: 'test',
        entries: map,
      });
    },
    /** Puts (a string) or deletes (undefined) keys, all at one revision. */
    change(changes: Readonly<Record<string, string | undefined>>): void {
      at += 1n;
      const list = Object.entries(changes).map(([key, value]): Change => {
        if (value !== undefined) return { kind: 'put', entry: entry(key, value) };
        created.delete(key);
        return { kind: 'delete', key, revision: revision(at) };
      });
      balancer.offer({ kind: 'changes', revision: revision(at), changes: list });
    },
    /** Waits until everything that was offered is served. */
    async applied(): Promise<void> {
      await until(`revision ${at} is applied`, () => balancer.status().revisionApplied === at, {
        deadlineMs: 20_000,
        everyMs: 2,
      });
    },
  };
}

async function metricOf(
  registry: MetricsRegistry,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number> {
  const found = await registry.getSingleMetric(`pointsman_${name}`)?.get();
  const values = found?.values.filter(({ labels: has }) =>
    Object.entries(labels).every(([label, value]) => Object.entries(has).some(([l, v]) => l === label && v === value)),
  );
  return (values ?? []).reduce((sum, { value }) => sum + value, 0);
}
