import { join } from 'node:path';
import { pino } from 'pino';
import { runDemoApp } from '../demo/app.ts';
import { runDemo } from '../demo/demo.ts';
import { balanceCommand } from '../settings/balance.ts';
import { demoCommand } from '../settings/demo.ts';
import { readSettings } from '../settings/read-settings.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { openRegistry } from './open-registry.ts';
import { print } from './outputs.ts';
import { abortOnSignal } from './signals.ts';

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(demoCommand, invocation);
  if (settings.kind === 'app') {
    await runDemoApp(settings.name, settings.port, () => process.uptime());
    return done;
  }
  // SIGHUP: the terminal is closed.
  const { signal, dispose } = abortOnSignal('SIGHUP');
  try {
    await runDemo({
      etcd: settings.etcd,
      everyMs: settings.everyMs,
      pointsman: [process.execPath, join(invocation.packageFolder, 'bin/pointsman')],
      openRegistry: (location) => openAt(location, invocation),
      print: (line) => print(`${line}\n`),
      signal,
    });
  } finally {
    dispose();
  }
  return done;
}

async function openAt(location: string, { machine }: Invocation) {
  const flags = new Map([['registry', [location]]]);
  const settings = readSettings(balanceCommand, { flags, env: {}, file: undefined }, machine);
  if (!settings.ok) throw new AggregateError(settings.problems);
  return openRegistry(settings.value.registry, pino({ level: 'silent' }));
}
