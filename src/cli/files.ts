import { readFile } from 'node:fs/promises';
import { Registry as MetricsRegistry } from 'prom-client';
import { serveFilesAdmin } from '../admin/server.ts';
import { convertTemplate } from '../files/confd/convert.ts';
import { readConfdResources } from '../files/confd/resources.ts';
import { createFilesMetrics } from '../files/metrics.ts';
import { runFiles } from '../files/run-files.ts';
import { describe, Fault } from '../model/fault.ts';
import { requireDistinct } from '../settings/file-declaration.ts';
import { filesCommand } from '../settings/files.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openForeignRegistry } from './open-layout.ts';
import { openAllKeys, openRegistry } from './open-registry.ts';
import { colorsOf, print } from './outputs.ts';
import { paintedDiff } from './painted-diff.ts';
import { withoutOurs } from './secrets.ts';
import { abortOnSignal } from './signals.ts';

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(filesCommand, invocation);
  if (settings.kind === 'convert') {
    const { path } = settings;
    process.stdout.write(convertTemplate({ file: path, text: await readTemplate(path) }));
    return done;
  }
  const logger = await createLogger(settings.log);
  const { signal, dispose } = abortOnSignal();
  const { registry, layout } = settings;
  const metrics = new MetricsRegistry();
  try {
    const none = { files: [], skipped: [] };
    const fromConfd = settings.confdDir === undefined ? none : await readConfdResources(settings.confdDir);
    for (const { path, reason } of fromConfd.skipped) {
      logger.warn({ event: 'confd-file-skipped', path, reason }, `${path} is not read: ${reason}`);
    }
    const declared = [...settings.files, ...fromConfd.files];
    requireDistinct(declared);
    await runFiles(declared, {
      ...{ mode: settings.mode, logger, signal },
      openOwn: () =>
        layout === undefined ? openRegistry(registry, logger) : openForeignRegistry(registry, layout, logger),
      ownHasReleases: layout === undefined,
      openReleases: () => openRegistry(registry, logger),
      openForeign: () => openAllKeys(registry, logger),
      env: withoutOurs(invocation.env),
      now: () => performance.now(),
      intervalMs: settings.intervalMs,
      wall: () => new Date(),
      holdMs: settings.holdMs,
      metrics: createFilesMetrics(metrics),
      serveAdmin: async (health) =>
        settings.admin === undefined
          ? async () => undefined
          : serveFilesAdmin({
              hosts: { address: settings.admin, hostname: invocation.machine.hostname, allowed: settings.adminHosts },
              metrics,
              health,
              logger,
            }),
      print: (text) => print(settings.mode === 'diff' ? paintedDiff(text, colorsOf(process.stdout)) : text),
    });
  } finally {
    dispose();
  }
  return done;
}

async function readTemplate(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Fault('usage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}
