import { spawn } from 'node:child_process';
import { errorCode } from '../model/fault.ts';
import { type CheckOutcome, fails, passes } from './outcome.ts';

/** How much of the output of a failed check goes to the log, in characters. */
const mostOutput = 200;

/**
 * Passes when the command ends with exit code 0. It leads a group of its own, which is killed when the command is over or
 * its time is up: a check must not leave processes behind, every few seconds, for ever.
 */
export function probeCommand(
  line: string,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', line], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const { pid } = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-mostOutput);
      });
    }
    const killGroup = () => {
      if (pid !== undefined) signalGroup(pid);
    };
    const end = (outcome: CheckOutcome) => {
      signal.removeEventListener('abort', killGroup);
      // A process that left the group may still hold the pipes.
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(outcome);
    };
    signal.addEventListener('abort', killGroup, { once: true });
    child.once('error', (error) => end(fails(error.message)));
    child.once('exit', (code, by) => {
      killGroup();
      // The output is read by now or in the next turns of the event loop; the reason is worth the wait.
      setImmediate(() => setImmediate(() => end(outcomeOf(code, by, output, signal.aborted))));
    });
    if (signal.aborted) killGroup();
  });
}

function outcomeOf(code: number | null, by: NodeJS.Signals | null, output: string, late: boolean): CheckOutcome {
  if (late) return fails('it did not end in time');
  if (code === 0) return passes;
  const last = output.trim().split('\n').at(-1) ?? '';
  return fails(`${by === null ? `exit code ${code}` : `ended by ${by}`}${last === '' ? '' : `: ${last}`}`);
}

function signalGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // No process of the group is left.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}
