import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

/** A service and where its instances are, by their ids. */
export type Fleet = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** A balancer, and how instances are added to it and removed. */
export type Peer = {
  readonly name: string;
  /** What it is made of, with versions. */
  readonly what: string;
  readonly port: number;
  /** The status of an answer when the service has no instance. */
  readonly absent: number;
  /** Resolves when the balancer, or its registry, has accepted the change. */
  add(service: string, id: string, address: string): Promise<void>;
  remove(service: string, id: string): Promise<void>;
  /** Changes a key that tells nothing: a balancer that missed the last of many changes reads them all then. */
  nudge?(): Promise<void>;
  /** The processes that answer requests now. */
  proxies(): Promise<readonly number[]>;
  /** The processes beside them that bring changes. */
  readonly controllers: readonly number[];
  close(): Promise<void>;
};

// Debian keeps nginx and HAProxy in /usr/sbin, which is on root's PATH only.
export const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` };

/** What a command prints when it is asked for its version; undefined where there is no such command. */
export function versionOf(command: string, argument: string): string | undefined {
  const { error, stdout, stderr } = spawnSync(command, [argument], { env });
  if (error !== undefined) return undefined;
  return /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0] ?? 'of unknown version';
}

export type Started = { readonly child: ChildProcess; readonly log: () => string; end(): Promise<void> };

export function start(command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(command, args, { env: { ...env, ...more }, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (log.length < 1_000_000) log += chunk.toString();
  });
  const gone = new Promise((resolve) => child.once('close', resolve));
  return {
    child,
    log: () => log,
    async end() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await gone;
      clearTimeout(late);
    },
  };
}

/** Runs a command to its end, which has to be a good one. */
export async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${said}`);
}

/** The processes that a process started, theirs, and so on. */
export async function descendants(pid: number): Promise<readonly number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  const children = lists.flatMap((list) => list.split(' ').filter((text) => text !== '').map(Number)); // biome-ignore format: one list
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

/** Processor time that these processes have taken, in µs. */
export async function processorUs(pids: readonly number[]): Promise<number> {
  let ns = 0;
  for (const pid of pids) {
    for (const task of await readdir(`/proc/${pid}/task`)) {
      ns += Number((await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8')).split(' ')[0]);
    }
  }
  return ns / 1000;
}

/** Memory of these processes in MB; what several share is counted once (Pss). */
export async function memoryMb(pids: readonly number[]): Promise<number> {
  const rolls = pids.map((pid) => readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => ''));
  return (
    (await Promise.all(rolls)).reduce((sum, text) => sum + Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0), 0) / 1024
  );
}
