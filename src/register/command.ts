import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** The application that register is the parent of. */
export type WrappedCommand = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where its standard output goes; by default to our own. */
  readonly output?: 'stderr';
};

export type RunningCommand = {
  readonly pid: number;
  /** The exit code, or 128 + n after signal n, as a shell has it. */
  readonly ended: Promise<number>;
  signal(name: NodeJS.Signals): void;
};

/** Why a command could not be started, with the exit code that a shell gives for it. */
export type NotStarted = { readonly exitCode: 126 | 127; readonly reason: string };

/** Starts the command with our own standard input and output: not a byte of them passes through this process. */
export function startCommand({ file, args, env, output }: WrappedCommand): Promise<RunningCommand | NotStarted> {
  const child = spawn(file, args, { stdio: ['inherit', output === 'stderr' ? 2 : 'inherit', 'inherit'], env });
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return;
      const missing = error.code === 'ENOENT';
      resolve({ exitCode: missing ? 127 : 126, reason: missing ? 'there is no such command' : error.message });
    });
    const ended = new Promise<number>((end) => {
      child.once('exit', (code, signal) => end(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
    });
    child.once('spawn', () => {
      const { pid } = child;
      if (pid !== undefined) resolve({ pid, ended, signal: (name) => void child.kill(name) });
    });
  });
}
