import { join } from 'node:path';
import { Registry as MetricsRegistry } from 'prom-client';
import { version } from '../../package.json';
import { serveAdmin } from '../admin/server.ts';
import { runBalance } from '../balance/run-balance.ts';
import { balanceCommand } from '../settings/balance.ts';
import { done } from './exit-code.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openForeignRegistry } from './open-layout.ts';
import { openRegistry } from './open-registry.ts';
import { abortOnSignal } from './signals.ts';

/** `pointsman balance`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(balanceCommand, invocation);
  const logger = await createLogger(settings.log);
  const { signal, dispose } = abortOnSignal();
  const own = await openRegistry(settings.registry, logger);
  const registry =
    settings.layout === undefined ? own : await openForeignRegistry(settings.registry, settings.layout, logger);
  // A folder with a foreign tree counts revisions of its own, which mean nothing beside those of another folder.
  const fleet = registry === own || settings.registry.kind === 'etcd' ? own : undefined;
  const metrics = new MetricsRegistry();
  try {
    await runBalance(settings.balance, {
      registry,
      fleet,
      metrics,
      logger,
      signal,
      shippedTemplates: join(invocation.packageFolder, 'templates'),
      now: () => performance.now(),
      wall: () => new Date(),
      hostname: invocation.machine.hostname,
      version,
      serveAdmin: (health) => serveAdmin({ address: settings.balance.admin, metrics, health }),
    });
  } finally {
    await registry.close();
    if (registry !== own) await own.close();
    dispose();
  }
  return done;
}
