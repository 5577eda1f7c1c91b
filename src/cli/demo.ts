import { join, relative } from 'node:path';
import { pino } from 'pino';
import { runDemoApp } from '../demo/app.ts';
import { runDemo } from '../demo/demo.ts';
import { balanceCommand } from '../settings/balance.ts';
import { demoCommand } from '../settings/demo.ts';
import { readSettings } from '../settings/read-settings.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { openRegistry } from './open-registry.ts';
import { colorsOf, formatOf, print } from './outputs.ts';
import { onSignals } from './signals.ts';
import { wrapText } from './wrap-text.ts';

export async function run(invocation: Invocation): Promise<number> {
  const settings = await readInvocation(demoCommand, invocation);
  if (settings.kind === 'app') {
    await runDemoApp(settings.name, settings.port, () => process.uptime());
    return done;
  }
  const end = new AbortController();
  // Further signals do not end it sooner: processes would be left behind. SIGHUP: the terminal is closed.
  const stopListening = onSignals(['SIGTERM', 'SIGINT', 'SIGHUP'], () => {
    if (end.signal.aborted) print('still stopping: each process ends in order\n');
    end.abort();
  });
  const executable = join(invocation.packageFolder, 'bin/pointsman');
  try {
    await runDemo({
      etcd: settings.etcd,
      everyMs: settings.everyMs,
      show: settings.show,
      pointsman: [process.execPath, executable],
      command: commandFor(executable),
      openRegistry: (location) => openAt(location, invocation),
      print: (line) => print(`${line}\n`),
      colors: colorsOf(process.stdout),
      fold: (line) => wrapText(line, formatOf(process.stdout).width, 13),
      onKey: process.stdin.isTTY && process.stdout.isTTY ? readKeys : undefined,
      signal: end.signal,
    });
  } finally {
    stopListening();
  }
  return done;
}

/** `bin/pointsman` in a checkout, and the whole path elsewhere. */
function commandFor(executable: string): string {
  const path = relative(process.cwd(), executable);
  return path.startsWith('..') || !path.includes('/') ? executable : path;
}

/** Calls `listener` with each key that is pressed. Ctrl-C is a key then, and is passed on as the signal that it is elsewhere. */
function readKeys(listener: (key: string) => void): () => void {
  const { stdin } = process;
  const onData = (typed: Buffer) => {
    for (const key of typed.toString()) {
      if (key === '\u0003' || key === 'q') process.kill(process.pid, 'SIGINT');
      else listener(key);
    }
  };
  stdin.setRawMode(true).on('data', onData).resume();
  return () => {
    stdin.off('data', onData).setRawMode(false).pause();
  };
}

async function openAt(location: string, { machine }: Invocation) {
  const flags = new Map([['registry', [location]]]);
  const settings = readSettings(balanceCommand, { flags, env: {}, file: undefined }, machine);
  if (!settings.ok) throw new AggregateError(settings.problems);
  return openRegistry(settings.value.registry, pino({ level: 'silent' }));
}
