import { readdirSync, readFileSync } from 'node:fs';

const marker = 'TEST_RUN_OF_POINTSMAN';

/** Marks this process, so that those that tests start from here on can be told from all others, whoever their parent is. */
export function markProcesses(): void {
  process.env[marker] ??= String(process.pid);
}

/** Those that tests have started and that nobody looks after any more, each as `pid command line`. */
export function leftBehind(): readonly { readonly pid: number; readonly command: string }[] {
  const mark = `${marker}=${process.env[marker]}`;
  return (
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => read(pid, 'environ').split('\0').includes(mark) && !descendsFrom(process.pid, pid))
      .map((pid) => ({ pid, command: read(pid, 'cmdline').replaceAll('\0', ' ').trim() }))
      // One that has ended and that nobody has asked for yet.
      .filter(({ command }) => command !== '')
  );
}

function descendsFrom(ancestor: number, pid: number): boolean {
  for (let at = pid; at > 1; at = Number(/^PPid:\t(\d+)/m.exec(read(at, 'status'))?.[1] ?? 0)) {
    if (at === ancestor) return true;
  }
  return false;
}

/** Empty for a process that is gone, or another user's. */
function read(pid: number, what: 'environ' | 'cmdline' | 'status'): string {
  try {
    return readFileSync(`/proc/${pid}/${what}`, 'utf8');
  } catch {
    return '';
  }
}
