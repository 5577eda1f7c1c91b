import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A process of the demo: its output line by line, and its end. */
export type DemoChild = {
  readonly name: string;
  readonly pid: number | undefined;
  readonly ended: Promise<string>;
  /** SIGKILL to it and all that it has started, as when a machine loses its power. */
  kill(): void;
  /** SIGTERM, and SIGKILL to it and all that it has started if that is not enough. Resolves when it is gone. */
  stop(killAfterMs?: number): Promise<void>;
};

/** Starts a process of the demo, which the demo ends. */
export type Start = (
  name: string,
  command: readonly [string, ...string[]],
  onLine?: (line: string) => void,
) => DemoChild;

const stopMs = 15_000;

/** Starts a process in its own group, so that Ctrl-C reaches the demo alone and it can end the others in order. */
export function startChild(
  name: string,
  command: readonly [string, ...string[]],
  onLine: (line: string) => void,
): DemoChild {
  const [file, ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine);
  const ended = endOf(child);
  return {
    name,
    pid: child.pid,
    ended,
    kill: () => killGroup(child),
    async stop(killAfterMs = stopMs) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => killGroup(child), killAfterMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** With all that it has started: its output ends with the last of them. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // They have ended.
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}
