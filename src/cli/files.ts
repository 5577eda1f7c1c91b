import { runFiles } from '../files/run-files.ts';
import { filesCommand } from '../settings/files.ts';
import { done } from './exit-code.ts';
import { type Invocation, settle } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openForeignRegistry } from './open-layout.ts';
import { openAllKeys, openRegistry } from './open-registry.ts';
import { abortOnSignal } from './signals.ts';
import { withoutOurs } from './without-ours.ts';

/** `pointsman files`. */
export async function run(invocation: Invocation): Promise<number> {
  const settings = await settle(filesCommand, invocation);
  if (settings.kind === 'convert') return done;
  const logger = await createLogger(settings.log);
  const { signal, dispose } = abortOnSignal();
  const { registry, layout } = settings;
  try {
    await runFiles(settings.files, {
      ...{ mode: settings.mode, logger, signal },
      openOwn: () =>
        layout === undefined ? openRegistry(registry, logger) : openForeignRegistry(registry, layout, logger),
      openForeign: () => openAllKeys(registry, logger),
      env: withoutOurs(invocation.env),
      now: () => performance.now(),
      print: (text) => process.stdout.write(text),
    });
  } finally {
    dispose();
  }
  return done;
}
