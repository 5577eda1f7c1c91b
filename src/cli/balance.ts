import { join } from 'node:path';
import { Registry as MetricsRegistry } from 'prom-client';
import { LogTail } from '../admin/log-tail.ts';
import { serveAdmin } from '../admin/server.ts';
import { openToken } from '../admin/token.ts';
import { endingAt, lameDuckAt } from '../balance/reconcile/ending.ts';
import { runBalance } from '../balance/run-balance.ts';
import { leanReading } from '../catalog/lean.ts';
import { missingAtStart } from '../check/setting-paths.ts';
import { balanceCommand } from '../settings/balance.ts';
import { rootOf } from '../settings/registry.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createTailedLog } from './logger.ts';
import { openForeignRegistry } from './open-layout.ts';
import { openAllKeys, openRegistry } from './open-registry.ts';
import { operationsOf } from './operations-of.ts';
import { withoutOurs } from './secrets.ts';
import { serviceManager } from './service-manager.ts';
import { endOnSignals } from './signals.ts';
import { version } from './version.ts';

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(balanceCommand, invocation);
  if (settings.dryRun) {
    const { render } = await import('./render.ts');
    return render({ ...settings, what: { kind: 'watch' }, json: false }, invocation.packageFolder);
  }
  const missing = await missingAtStart(settings.balance);
  if (missing.length > 0) throw new AggregateError(missing);
  const tail = new LogTail();
  const { logger, ...logLevel } = await createTailedLog(settings.log, tail);
  const token = settings.adminTokenFile === undefined ? undefined : await openToken(settings.adminTokenFile);
  const { onStop, lameDuckMs } = settings.balance;
  const { leaving, signal, end, hurry, received } = endOnSignals(
    ['SIGTERM', 'SIGINT', 'SIGUSR2'],
    (name) => lameDuckAt(name, onStop, lameDuckMs) > 0,
  );
  const registry =
    settings.layout === undefined
      ? await openRegistry(settings.registry, logger, { reading: leanReading(settings.balance.limits) })
      : await openForeignRegistry(settings.registry, settings.layout, logger);
  const releases = settings.layout === undefined ? undefined : await openRegistry(settings.registry, logger);
  const metrics = new MetricsRegistry();
  try {
    await runBalance(settings.balance, {
      registry,
      // Nobody who writes another's tree waits for balancers, and those who wait would wait for one that never hears of them.
      fleet: settings.layout === undefined ? registry : undefined,
      releases,
      root: settings.layout === undefined ? rootOf(settings.registry) : undefined,
      metrics,
      logger,
      manager: serviceManager(invocation.env, logger),
      leaving,
      signal,
      end,
      hurry,
      ending: () => endingAt(received(), onStop),
      shippedTemplates: join(invocation.packageFolder, 'templates'),
      shippedForHaproxy: join(invocation.packageFolder, 'haproxy'),
      now: () => performance.now(),
      wall: () => new Date(),
      hostname: invocation.machine.hostname,
      version,
      env: withoutOurs(invocation.env),
      openForeign: () => openAllKeys(settings.registry, logger),
      serveAdmin: (health, queries, planner) => {
        tail.listenToRequests((service, ms) => queries.tookRequest(service, ms));
        const operations = settings.layout === undefined ? operationsOf(registry, health) : undefined;
        return serveAdmin({
          hosts: {
            address: settings.balance.admin,
            hostname: invocation.machine.hostname,
            allowed: settings.adminHosts,
          },
          metrics,
          health,
          views: { queries, tail },
          planner,
          logLevel,
          token,
          operations,
          logger,
          page: join(invocation.packageFolder, 'dist/page'),
        });
      },
    });
  } finally {
    await Promise.all([registry.close(), releases?.close()]);
  }
  return done;
}
