import { setTimeout as pause } from 'node:timers/promises';
import { execa, type ResultPromise } from 'execa';
import { aborted } from '../waiting/aborted.ts';
import { apart } from './child.ts';
import { signal } from './process-signal.ts';

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
