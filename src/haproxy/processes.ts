import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { execa, type ResultPromise } from 'execa';
import { errorCode } from '../model/fault.ts';
import { aborted } from '../waiting/time-limit.ts';

/**
 * How every child process is started with execa. `cleanup: false`, because execa would otherwise end pointsman itself at
 * the first SIGTERM or SIGINT while a child runs, before pointsman has ended in order. `detached`, a process group of its
 * own, so that Ctrl-C on a terminal reaches pointsman alone.
 */
export const apart = { cleanup: false, detached: true } as const;

type Within = {
  readonly deadlineMs: number;
  /** Between SIGTERM and SIGKILL, in ms. */
  readonly graceMs: number;
  /** Ends the command as the deadline does. */
  readonly signal?: AbortSignal | undefined;
};

export type Ran = {
  /** Undefined when the command could not be run, or was ended by a signal. */
  readonly exitCode: number | undefined;
  readonly output: string;
  readonly ended: 'deadline' | 'signal' | undefined;
  /** The error, if the command could not be run. */
  readonly failure: string | undefined;
  readonly cause: unknown;
};

// A process that left the group may hold the pipe of the output.
const restMs = 500;

/** Runs a command and ends it at the deadline, with all processes of its group: a script's child would keep its output open. */
export async function runWithin(executable: string, args: readonly string[], within: Within): Promise<Ran> {
  const { deadlineMs, graceMs, signal: abort } = within;
  const run = execa(executable, args, { ...apart, reject: false, stdin: 'ignore', all: true });
  let over = false;
  const done = run.then((result) => {
    over = true;
    return result;
  });
  const deadline = new AbortController();
  const reached = pause(deadlineMs, 'deadline' as const, { signal: deadline.signal }).catch(() => undefined);
  const ended = await Promise.race([
    done.then(() => undefined),
    reached,
    abort === undefined ? reached : aborted(abort, deadline.signal).then(() => 'signal' as const),
  ]);
  deadline.abort();
  if (ended === undefined) {
    const result = await done;
    const { exitCode, all = '', shortMessage: failure } = result;
    return { exitCode, output: all, ended, failure, cause: result };
  }
  signalGroup(run, 'SIGTERM');
  await Promise.race([done, pause(graceMs)]);
  if (!over) signalGroup(run, 'SIGKILL');
  const result = await Promise.race([done, pause(restMs)]);
  return { exitCode: undefined, output: result?.all ?? '', ended, failure: undefined, cause: undefined };
}

/** To all processes that a command started and that did not leave its group. */
export function signalGroup({ pid }: Pick<ResultPromise, 'pid'>, name: NodeJS.Signals): void {
  if (pid !== undefined) signal(-pid, name);
}

/** Sends it if the process is still there. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It ended by itself in the meantime, which is what the signal was for.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** Whether the process still runs. One that ended and that its parent has not asked after yet (a zombie) does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    // "123 (haproxy) Z 1 …": the name may hold anything, so the state is what follows the last parenthesis.
    return !/^\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*(?=\) )/s, ''));
  } catch {
    // No /proc, as on other systems than Linux: the signal has to do.
    return true;
  }
}

/** Whether a process was started with this argument. */
export async function hasInCommand(pid: number, argument: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(argument);
}
