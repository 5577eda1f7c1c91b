import { unlink, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { execa } from 'execa';
import type { ValidationProblem } from './check.ts';
import { apart, signalGroup } from './processes.ts';

// HAProxy needs 40 ms for it.
const probeMs = 5000;
const lookMs = 5;
// These would meet the HAProxy that runs, name sections that the probe does not have, or do something.
const leftOut =
  /^\s*(?:stats\s|pidfile\b|daemon\b|master-worker\b|mworker-max-reloads\b|log\b|log-send-hostname\b|lua-|ssl-engine\b|localpeer\b|server-state-|default-path\b|external-check\b)/;

/** The lines of the first `global` section, and where it begins, counted from 1; undefined when there is none. */
export function globalOf(config: string): { readonly line: number; readonly text: string } | undefined {
  const lines = config.split('\n');
  const begin = lines.findIndex((line) => /^global\b/.test(line));
  if (begin === -1) return undefined;
  const length = lines.slice(begin + 1).findIndex((line) => /^[a-z]/.test(line));
  const end = length === -1 ? lines.length : begin + 1 + length;
  return { line: begin + 1, text: lines.slice(begin, end).join('\n') };
}

/**
 * Finds faults of a `global` section that only a start shows: a chroot, a user or a limit that cannot be had. `haproxy -c` does not
 * try these, and on HAProxy before 3.2 a reload that fails on a chroot ends the old worker too. So an HAProxy is started on
 * nothing but this section, and ended when it serves. Undefined when it serves, or cannot be asked.
 */
export async function probeGlobal(
  executable: string,
  { file, socket }: { readonly file: string; readonly socket: string },
  config: string,
): Promise<ValidationProblem | undefined> {
  const global = globalOf(config);
  if (global === undefined) return undefined;
  const kept = global.text.split('\n').filter((line) => !leftOut.test(line));
  try {
    await writeFile(file, `${kept.join('\n')}\n    stats socket ${socket} mode 600\n`, { mode: 0o600 });
  } catch {
    // The code that writes the needed files reports a full disk.
    return undefined;
  }
  const run = execa(executable, ['-db', '-f', file], { ...apart, reject: false, stdin: 'ignore', all: true });
  let ended = false;
  void run.then(() => {
    ended = true;
  });
  const deadline = performance.now() + probeMs;
  while (!ended && !(await answers(socket)) && performance.now() < deadline) await pause(lookMs);
  const failed = ended;
  signalGroup(run, 'SIGKILL');
  const { all = '' } = await run;
  for (const path of [file, socket]) await unlink(path).catch(() => undefined);
  const alert = /^\[ALERT\].*?(\[haproxy\.main\(\)\].*)$/m.exec(all)?.[1];
  return failed && alert !== undefined ? { line: global.line, text: alert } : undefined;
}

/** A connection alone says nothing: HAProxy listens before it has tried the rest. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => socket.end('show info\n'));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
