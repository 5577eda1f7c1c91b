import { processes, readProc } from './support/proc.ts';

const marker = 'TEST_RUN_OF_POINTSMAN';

/**
 * Marks this process, so that processes that tests start from here on can be told from all others, whoever their parent is. Gives
 * whether this is the first call.
 */
export function markProcesses(): boolean {
  const isFirst = process.env[marker] === undefined;
  process.env[marker] ??= String(process.pid);
  return isFirst;
}

/** The processes that tests have started and that no test looks after any more. */
export function leftBehind(): ReturnType<typeof processes> {
  const mark = `${marker}=${process.env[marker]}`;
  return processes().filter(
    ({ pid }) => readProc(pid, 'environ').split('\0').includes(mark) && !descendsFrom(process.pid, pid),
  );
}

function descendsFrom(ancestor: number, pid: number): boolean {
  for (let at = pid; at > 1; at = Number(/^PPid:\t(\d+)/m.exec(readProc(at, 'status'))?.[1] ?? 0)) {
    if (at === ancestor) return true;
  }
  return false;
}
