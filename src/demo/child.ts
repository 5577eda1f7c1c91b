import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A process of the demo: what it says line by line, and its end. */
export type Child = {
  readonly name: string;
  readonly pid: number | undefined;
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL if that is not enough. Resolves when it is gone. */
  stop(): Promise<void>;
};

const stopMs = 15_000;

/** Starts a process in its own group, so that Ctrl-C reaches the demo alone and it can end the others in order. */
export function startChild(
  name: string,
  command: readonly [string, ...string[]],
  onLine: (line: string) => void,
): Child {
  const [file, ...args] = command;
  const process = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const stream of [process.stdout, process.stderr]) createInterface({ input: stream }).on('line', onLine);
  const ended = endOf(process);
  return {
    name,
    pid: process.pid,
    ended,
    async stop() {
      process.kill('SIGTERM');
      const timer = setTimeout(() => process.kill('SIGKILL'), stopMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

function endOf(process: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    process.once('error', (error) => resolve(error.message));
    process.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}
