import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import type { RegistryEvent } from '../src/registry/registry.ts';
import type { EtcdCluster } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';

export const root = '/bench/';
export const held = 10_000;
export const ttlMs = 10_000;

/** A message of a child process: its progress and its cost. */
type Word = {
  readonly kind: string;
  readonly ms: number;
  readonly count: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly peakMb: number;
};

const peakMb = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const mb = (bytes: number): number => bytes / 1024 / 1024;
export const instance = (i: number): string =>
  JSON.stringify({ address: `10.0.${i % 256}.1`, port: 8080, weight: 100, version: 'v1', owner: `owner-${i}` });

/** A process that follows the tree, or holds keys in it, so that its memory is nobody else's. */
export async function child(role: string, endpoints: readonly string[]): Promise<void> {
  const registry = openEtcdRegistry({ endpoints, root });
  const started = performance.now();
  let count = 0;
  const say = (kind: string) => {
    const { rss, heapUsed } = process.memoryUsage();
    const word: Word = {
      kind,
      ms: performance.now() - started,
      count,
      rssMb: mb(rss),
      heapMb: mb(heapUsed),
      peakMb: peakMb(),
    };
    process.send?.(word);
  };
  process.on('message', (message) => {
    if (message === 'measure') {
      globalThis.gc?.();
      say('measured');
    }
    if (message === 'close') void registry.close().then(() => process.disconnect());
  });
  globalThis.gc?.();
  writeFileSync('/proc/self/clear_refs', '5'); // the peak counts from here on
  say('ready');
  if (role === 'follow') {
    const view = new Map<string, string>();
    registry.follow((event: RegistryEvent) => {
      if (event.kind === 'snapshot') {
        view.clear();
        for (const { key, value } of event.entries.values()) view.set(key, value);
        count = view.size;
        say(count === 0 ? 'empty' : 'listed');
      } else if (event.kind === 'changes') {
        for (const change of event.changes) {
          if (change.kind === 'put') view.set(change.entry.key, change.entry.value);
          else view.delete(change.key);
        }
        count += event.changes.length;
        if (view.size === 0) say('empty');
      } else if (event.kind === 'connected') say('connected');
    });
  } else {
    let restored = 0;
    const session = registry.openSession({
      ttlMs,
      mayReplace: () => false,
      onEvent: ({ kind }) => {
        if (kind === 'restored') restored += 1;
        if (restored === held) {
          restored = 0;
          say('restored');
        }
      },
    });
    await Promise.all(
      Array.from({ length: held }, (_, i) => session.put(`instances/web-${i % 100}/i-${i}`, instance(i))),
    );
    say('held');
  }
}

/** CPU time that a process has used, in ms. The kernel counts in hundredths of a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Starts a child and gives a function that waits for its next word of a kind. */
export function startChild(role: string, etcd: EtcdCluster) {
  const forked: ChildProcess = fork(process.argv[1] ?? '', [role, etcd.endpoints.join()], {
    execArgv: ['--expose-gc'],
  });
  const said: Word[] = [];
  forked.on('message', (word: Word) => said.push(word));
  const gone = new Promise((resolve) => forked.once('exit', resolve));
  const hear = async (kind: string): Promise<Word> => {
    const word = await until(`the ${role} process says ${kind}`, () => said.find((one) => one.kind === kind), { deadlineMs: 600_000, everyMs: 2 }); // biome-ignore format: a call
    said.splice(said.indexOf(word), 1);
    return word;
  };
  return {
    pid: forked.pid ?? 0,
    hear,
    measure(): Promise<Word> {
      forked.send('measure');
      return hear('measured');
    },
    async close(): Promise<void> {
      forked.send('close');
      await gone;
    },
  };
}
