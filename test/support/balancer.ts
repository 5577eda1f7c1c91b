import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { addressRules } from '../../src/addresses/address-rules.ts';
import { openLookUp } from '../../src/addresses/look-up.ts';
import { defaultGuardPolicy, type GuardPolicy } from '../../src/balance/guard/guard.ts';
import { createBalanceMetrics } from '../../src/balance/observe/metrics.ts';
import type { ServicePace } from '../../src/balance/reload/reload-budget.ts';
import { loadLastKnown } from '../../src/balance/state/last-known.ts';
import { pathsOf } from '../../src/balance/state/paths.ts';
import { provideShipped } from '../../src/balance/state/shipped-files.ts';
import { wireBalancer } from '../../src/balance/wire-balancer.ts';
import { type CatalogLimits, defaultCatalogLimits } from '../../src/catalog/limits.ts';
import type { Processes } from '../../src/haproxy/haproxy.ts';
import { ManagedHaproxy } from '../../src/haproxy/managed-haproxy.ts';
import { connectRuntime } from '../../src/haproxy/runtime-connection.ts';
import { revision } from '../../src/model/revision.ts';
import type { Change, Entry } from '../../src/registry/registry.ts';
import { loadTemplates } from '../../src/render/load-templates.ts';
import type { FrameSettings } from '../../src/render/view.ts';
import { startCommandTap } from './command-tap.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

/** The HAProxy that tests run: `HAPROXY_BIN`, or the machine's. */
export const haproxyBin = process.env['HAPROXY_BIN'] ?? 'haproxy';

export type TestBalancer = Awaited<ReturnType<typeof startBalancer>>;

/** A balancer in this process with a real HAProxy, told directly what a registry would tell it. */
export async function startBalancer(
  options: {
    templates?: string;
    reloadIntervalMs?: number;
    /** How often the changes of one service may need a reload: without a bound if it is not given. */
    servicePace?: ServicePace;
    mostOldWorkers?: number;
    reuseIntervalMs?: number;
    guard?: Partial<GuardPolicy>;
    limits?: Partial<CatalogLimits>;
    zone?: string;
    /** Instead of what the frame template is told otherwise. */
    frame?: Partial<Pick<FrameSettings, 'normalizePaths' | 'trustedProxies' | 'accessLog' | 'hardStopAfterMs'>>;
    serverTls?: string;
    /** Where an earlier one was, to go on from what it left there. */
    dir?: string;
    /** That of an earlier one. */
    port?: number;
    /** Instead of the HAProxy that tests run. */
    executable?: string;
    /** When what is held is asked about for the first time, in ms. */
    probeMs?: number;
    /** Told every command that the balancer gives HAProxy. */
    onCommand?: (line: string) => void;
    /** Called after each start of HAProxy, before the balancer learns that HAProxy serves. */
    onStarted?: (processes: Processes) => Promise<void>;
  } = {},
) {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'pm-')));
  const paths = pathsOf(dir);
  const port = options.port ?? (await freePort());
  const lines: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const metricsRegistry = new MetricsRegistry();
  const metrics = createBalanceMetrics(metricsRegistry);
  const templates = await loadTemplates(join(import.meta.dirname, '../../templates'), options.templates);
  const { onCommand } = options;
  const tapped = join(dir, 'run/tap.sock');
  const frame = {
    bind: `127.0.0.1:${port}`,
    bindHost: '127.0.0.1',
    reservedPorts: new Set([port]),
    runtimeSocket: paths.runtimeSocket,
    routesMap: paths.routesMap,
    serverStates: paths.serverStates,
    successorSocket: paths.successorSocket,
    peersFolder: paths.peersFolder,
    hardStopAfterMs: 5000,
    maintenancePage: paths.maintenancePage,
    pauseScript: paths.pauseScript,
    pemFolder: options.serverTls ?? paths.serverTls,
    zone: options.zone,
    ...options.frame,
  };
  const limits = { ...defaultCatalogLimits, ...options.limits };
  const { balancer, haproxy, link, holds, guarding, overriding } = await wireBalancer({
    paths,
    frame,
    templates,
    guard: { ...defaultGuardPolicy, ...options.guard },
    limits,
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
    probeMs: options.probeMs ?? 60_000,
    metrics,
    logger,
    now: () => performance.now(),
    wall: () => new Date(),
    openHaproxy: async (onExit, onHealth) => {
      const haproxy = new ManagedHaproxy({
        executable: options.executable ?? haproxyBin,
        configFile: paths.config,
        masterSocket: paths.masterSocket,
        logger,
        onExit,
        onHealth,
      });
      const start = haproxy.start.bind(haproxy);
      haproxy.start = async () => {
        const processes = await start();
        await options.onStarted?.(processes);
        return processes;
      };
      return haproxy;
    },
    provideShipped: () => provideShipped(join(import.meta.dirname, '../../haproxy'), paths, undefined),
    socket: onCommand && tapped,
  });
  const tap = onCommand && (await startCommandTap(tapped, paths.runtimeSocket, onCommand));

  const lastKnown = await loadLastKnown(paths.lastKnown, limits, {
    now: performance.now(),
    wall: new Date(),
    holdMs: undefined,
  });
  if (lastKnown !== undefined && 'catalog' in lastKnown) balancer.preload(lastKnown.catalog);
  let at = balancer.status().revisionSeen + 1n;
  /** At which revision each key was created. */
  const created = new Map<string, bigint>();
  const entry = (key: string, value: string): Entry => {
    const first = created.get(key) ?? at;
    created.set(key, first);
    const since = first === at ? {} : { created: revision(first) };
    return { key, value, revision: revision(at), ...since, leased: true };
  };
  return {
    balancer,
    paths,
    link,
    haproxy,
    port,
    lines,
    dir,
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
    async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
      const found = await metricsRegistry.getSingleMetric(`pointsman_${name}`)?.get();
      const values = found?.values.filter(({ labels: has }) =>
        Object.entries(labels).every(([label, value]) =>
          Object.entries(has).some(([l, v]) => l === label && v === value),
        ),
      );
      return (values ?? []).reduce((sum, { value }) => sum + value, 0);
    },
    config: () => readFile(paths.config, 'utf8'),
    routes: () => readFile(paths.routesMap, 'utf8'),
    guarding,
    overriding,
    /** What an outsider says to HAProxy, past the balancer. */
    async command(...commands: readonly string[]): Promise<readonly string[]> {
      const path = paths.runtimeSocket;
      const connection = await connectRuntime({ path, greetingMs: 300, answerMs: 5000, onLost: () => undefined });
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
      if (!keep) await rm(dir, { recursive: true, force: true });
    },
  };
}
