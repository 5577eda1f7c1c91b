import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';

export type FileLatencyParts = {
  /** The prefix of all keys. */
  readonly root: string;
  /** How many entries there are before the first round. */
  readonly entries: number;
  readonly rounds: number;
  /** The entry that a number stands for. Each round puts the next number. */
  readonly entry: (i: number) => readonly [key: string, value: string];
  /** What the file has in it once it is made of an entry. */
  readonly trace: (i: number) => string;
  /** Prepares a folder; the command makes the file there. */
  readonly command: (dir: string, etcd: EtcdCluster) => Promise<readonly [file: string, ...args: readonly string[]]>;
  /** The name of the file in the folder. */
  readonly dest: string;
};

/** From the acknowledged put of an entry to the file that has it, in ms, round by round. `after` runs while the program still runs. */
export async function measureFile<T>(
  { root, entries, rounds, entry, trace, command, dest: name }: FileLatencyParts,
  after: (dir: string, pid: number | undefined) => Promise<T>,
): Promise<{ readonly took: readonly number[]; readonly after: T }> {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
  const dest = join(dir, name);
  let child: ChildProcess | undefined;
  const put = (i: number) => registry.write(...entry(i));
  try {
    for (let i = 0; i < entries; i += 200) {
      await Promise.all(Array.from({ length: Math.min(200, entries - i) }, (_, j) => put(i + j)));
    }
    const [file, ...args] = await command(dir, etcd);
    child = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const made = async () => (await readFile(dest, 'utf8').catch(() => '')).includes(trace(entries - 1));
    await until('the file is made', made, { deadlineMs: 60_000 });
    const took: number[] = [];
    for (let i = entries; i < entries + rounds; i += 1) {
      await put(i);
      const start = performance.now();
      // The only thing that runs here: the turns let nobody else in.
      while (!readFileSync(dest, 'utf8').includes(trace(i))) await turn();
      took.push(performance.now() - start);
    }
    return { took, after: await after(dir, child.pid) };
  } finally {
    if (child !== undefined) {
      child.kill();
      await once(child, 'exit');
    }
    await registry.close();
    await etcd.close();
    await rm(dir, { recursive: true, force: true });
  }
}
