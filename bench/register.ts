// The cost of a sidecar: memory, and the time from its start until its key is visible to others; and an agent with many
// instances. On a real etcd and on a folder.
//
//   node scripts/bench.mjs register [rounds, 20] [instances, 1000]
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { openDirectoryRegistry } from '../src/registry/directory/directory-registry.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../src/registry/registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';

const rounds = Number(process.argv[2] ?? 20);
const many = Number(process.argv[3] ?? 1000);

/** How long a process is left alone before its memory is read: its start is over, and a collection or two. */
const settleMs = 5000;

type Place = {
  readonly name: string;
  readonly location: string;
  readonly registry: Registry;
  /** The keys of instances that a follower knows. */
  readonly keys: Set<string>;
};

function follow(registry: Registry): Set<string> {
  const keys = new Set<string>();
  registry.follow((event) => {
    if (event.kind === 'snapshot') for (const key of event.entries.keys()) keys.add(key);
    if (event.kind !== 'changes') return;
    for (const change of event.changes) {
      if (change.kind === 'put') keys.add(change.entry.key);
      else keys.delete(change.key);
    }
  });
  return keys;
}

function start(args: readonly string[]) {
  const started = performance.now();
  const child = spawn(join(process.cwd(), 'bin/pointsman'), ['register', '--log-format', 'json', ...args], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const field = async (file: string, name: string): Promise<number> =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(await readFile(`/proc/${child.pid}/${file}`, 'utf8'))?.[1]) /
    1024;
  return {
    started,
    memoryMb: () => field('status', 'VmRSS'),
    mostMb: () => field('status', 'VmHWM'),
    ownMb: () => field('status', 'RssAnon'),
    /** Seconds of processor time until now. */
    async cpu(): Promise<number> {
      const stat = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
      return (Number(stat[11]) + Number(stat[12])) / 100; // in clock ticks, 100 a second on Linux
    },
    /** Resolves with the ms that it took to leave. */
    async stop(): Promise<number> {
      const asked = performance.now();
      child.kill('SIGTERM');
      await gone;
      return performance.now() - asked;
    },
  };
}

const holds = (place: Place, count: number) =>
  until(`${count} instances`, () => place.keys.size === count, { deadlineMs: 120_000, everyMs: 1 });

async function measureOne(place: Place, ...more: readonly string[]) {
  const times: number[] = [];
  const leaves: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const one = start(['--registry', place.location, '--service', 'web', '--address', '10.0.0.1:80', ...more]);
    await holds(place, 1);
    times.push(performance.now() - one.started);
    leaves.push(await one.stop());
    await holds(place, 0);
  }
  const one = start(['--registry', place.location, '--service', 'web', '--address', '10.0.0.1:80', ...more]);
  await holds(place, 1);
  await pause(settleMs);
  const [memory, own] = [await one.memoryMb(), await one.ownMb()];
  await one.stop();
  await holds(place, 0);
  console.log(
    row(
      place.name,
      ms(memory),
      ms(own),
      ms(quantile(times, 0.5)),
      ms(quantile(times, 0.95)),
      ms(quantile(leaves, 0.5)),
    ),
  );
}

async function measureAgent(place: Place, folder: string, what: string) {
  const agent = start(['--registry', place.location, '--dir', folder]);
  await holds(place, many);
  const visible = performance.now() - agent.started;
  await pause(settleMs);
  const [before, from] = [await agent.cpu(), performance.now()];
  await pause(settleMs);
  const share = ((await agent.cpu()) - before) / ((performance.now() - from) / 1000);
  const [memory, most] = [await agent.memoryMb(), await agent.mostMb()];
  const leave = await agent.stop();
  await holds(place, 0);
  console.log(row(what, ms(memory), ms(most), ms(visible), `${(share * 100).toFixed(1)} %`, ms(leave)));
}

async function declarations(dir: string, more: (i: number) => string): Promise<string> {
  await mkdir(dir);
  await Promise.all(
    Array.from({ length: many }, (_, i) =>
      writeFile(join(dir, `web-${i}.yaml`), `service: web\nid: web-${i}\n${more(i)}`),
    ),
  );
  return dir;
}

const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const etcd = await startEtcd();
const etcdRegistry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
const folderRegistry = openDirectoryRegistry({ path: join(dir, 'registry'), logger: pino({ level: 'silent' }) });
const places: readonly Place[] = [
  { name: 'etcd', location: etcd.location, registry: etcdRegistry, keys: follow(etcdRegistry) },
  { name: 'folder', location: `dir:${join(dir, 'registry')}`, registry: folderRegistry, keys: follow(folderRegistry) },
];
const app = createServer((socket) => socket.on('error', () => socket.destroy()));
await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
const listening = app.address();
const port = typeof listening === 'object' && listening !== null ? listening.port : 0;

const bare = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'], { stdio: 'ignore' });
await pause(1000);
const bareMb = Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${bare.pid}/status`, 'utf8'))?.[1]) / 1024;
bare.kill();

console.log(`# What register costs\n`);
console.log(`${await describeMachine()}. A bare \`node\` takes ${ms(bareMb)} MB.\n`);
console.log(
  `One instance; ${rounds} starts. Own memory is what is not shared with other processes of Node (RssAnon).\n`,
);
console.log(row('registry', 'RSS MB', 'own MB', 'key visible ms p50', 'p95', 'leave ms p50'));
console.log(row('---', '---', '---', '---', '---', '---'));
for (const place of places) await measureOne(place);

const plain = await declarations(
  join(dir, 'plain'),
  (i) => `address: 10.0.${Math.floor(i / 250)}.${1 + (i % 250)}:80\n`,
);
const checked = await declarations(join(dir, 'checked'), () => `address: 127.0.0.1:${port}\ncheck: tcp\n`);
console.log(`\nAn agent with ${many} instances.\n`);
console.log(row('registry, check', 'RSS MB', 'most MB', 'all visible ms', 'processor', 'all left ms'));
console.log(row('---', '---', '---', '---', '---', '---'));
for (const place of places) {
  await measureAgent(place, plain, `${place.name}, none`);
  await measureAgent(place, checked, `${place.name}, tcp every 2s`);
}
app.close();
await etcdRegistry.close();
await folderRegistry.close();
await etcd.close();
await rm(dir, { recursive: true, force: true });
