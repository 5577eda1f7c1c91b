import { readdirSync, readFileSync } from 'node:fs';

/** A process in /proc. The pid alone may be another process later; pid and start together are unique. */
export type ProcessEntry = {
  readonly pid: number;
  readonly parent: number;
  /** In clock ticks since the machine started. */
  readonly started: number;
};

/**
 * Reads a line of /proc/PID/stat; undefined for a process that has ended and waits for its parent to ask after it (a zombie).
 * The name may hold anything, so the fields are counted from the last parenthesis.
 */
export function parseStat(line: string): ProcessEntry | undefined {
  const pid = Number.parseInt(line, 10);
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const [state = 'X', parent = ''] = fields;
  if (!Number.isInteger(pid) || state === 'Z' || state === 'X') return undefined;
  return { pid, parent: Number(parent), started: Number(fields[19]) };
}

/** These processes and all below them, parents first. */
export function withDescendants(
  table: readonly ProcessEntry[],
  isRoot: (process: ProcessEntry) => boolean,
): readonly ProcessEntry[] {
  const children = new Map<number, ProcessEntry[]>();
  for (const process of table) {
    const siblings = children.get(process.parent);
    if (siblings === undefined) children.set(process.parent, [process]);
    else siblings.push(process);
  }
  const found = new Set(table.filter(isRoot));
  // A set is walked over what is added meanwhile, too.
  for (const { pid } of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

/**
 * A process and all that it and its children have started, as of each `look`. A process whose parent had ended before the first
 * look, such as a daemon, is not found. On a system without /proc the tree is empty.
 */
export class ProcessTree {
  readonly #root: number;
  #known: readonly ProcessEntry[] | undefined;

  constructor(root: number) {
    this.#root = root;
  }

  /** Brings it up to date: without those that ended, and with the descendants of those that live. */
  look(): readonly ProcessEntry[] {
    const known = this.#known;
    const starts = known && new Map(known.map(({ pid, started }) => [pid, started]));
    this.#known = withDescendants(readTable(), ({ pid, started }) =>
      starts === undefined ? pid === this.#root : starts.get(pid) === started,
    );
    return this.#known;
  }
}

function readTable(): readonly ProcessEntry[] {
  return readNames().flatMap((name) => {
    if (!/^[0-9]+$/.test(name)) return [];
    const process = readProcess(name);
    return process === undefined ? [] : [process];
  });
}

function readNames(): readonly string[] {
  try {
    return readdirSync('/proc');
  } catch {
    return [];
  }
}

function readProcess(name: string): ProcessEntry | undefined {
  try {
    return parseStat(readFileSync(`/proc/${name}/stat`, 'latin1'));
  } catch {
    // It ended since the folder was read.
    return undefined;
  }
}
