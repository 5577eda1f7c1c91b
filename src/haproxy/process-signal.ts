import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { errorCode } from '../model/error-code.ts';

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
