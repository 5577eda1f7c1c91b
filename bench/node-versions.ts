// What pointsman takes on each version of Node: memory of `register` and `balance` next to that of a bare node, and how long
// they take to start.
//
//   node scripts/bench.mjs node-versions [rounds, 10] [node …, this one]
//   Each further argument is an executable of Node: `npm install --prefix /tmp/node-24 node@24` brings one to
//   /tmp/node-24/node_modules/node/bin/node.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../src/registry/registry.ts';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { haproxyBin, root, serviceName, siblingHost } from './ways.ts';

const rounds = Number(process.argv[2] ?? 10);
const nodes = process.argv.length > 3 ? process.argv.slice(3) : [process.execPath];
const services = 100;
/** How long a process is left alone before its memory is read. */
const settleMs = 20_000;

type Memory = { readonly rss: number; readonly own: number };
type Measured = { readonly startMs: readonly number[]; readonly memory: Memory | undefined };

const dir = await mkdtemp(join(tmpdir(), 'pm-node-'));

/** Starts a command whose `node` is this one, and reads what it takes when `ready` is seen in its log. */
async function measure(node: string, ready: string, command: readonly string[], times: number): Promise<Measured> {
  const folder = await mkdtemp(join(dir, 'path-'));
  await symlink(node, join(folder, 'node'));
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, XDG_CACHE_HOME: join(folder, 'cache') };
  const startMs: number[] = [];
  let memory: Memory | undefined;
  for (let i = 0; i < times; i += 1) {
    const [file = '', ...args] = command;
    const began = performance.now();
    const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const gone = new Promise((done) => child.once('close', done));
    let log = '';
    let readyAt = 0;
    child.stderr.on('data', (chunk: Buffer) => {
      if (readyAt > 0) return;
      log += chunk.toString();
      if (log.includes(ready)) readyAt = performance.now();
    });
    try {
      await until(`${ready} is said`, () => readyAt > 0, { deadlineMs: 60_000 });
      startMs.push(readyAt - began);
      // The first start fills the compile cache, so the memory of a later one counts.
      if (i === times - 1) {
        await pause(settleMs);
        memory = await memoryOf(child.pid);
      }
    } finally {
      child.kill('SIGTERM');
      await gone;
    }
  }
  return { startMs: startMs.slice(Math.min(1, times - 1)), memory };
}

async function memoryOf(pid: number | undefined): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  return { rss: of('VmRSS'), own: of('RssAnon') };
}

const median = (values: readonly number[]) => quantile(values, 0.5);
const cells = ({ startMs, memory }: Measured) => [
  ms(median(startMs)),
  ms(memory?.rss ?? Number.NaN),
  ms(memory?.own ?? Number.NaN),
];

const bare = (node: string) =>
  measure(node, 'ready', [node, '-e', 'process.stderr.write("ready"); setInterval(() => {}, 60_000)'], rounds);

function register(node: string, location: string): Promise<Measured> {
  const args = ['--registry', location, '--root', root, '--service', 'one', '--address', '10.0.0.1:80'];
  return measure(node, '"event":"announced"', [resolve('bin/pointsman'), 'register', '--log-format', 'json', ...args], rounds); // biome-ignore format: a command
}

async function balance(node: string, etcd: EtcdCluster, times: number): Promise<Measured> {
  const [http = 0, admin = 0] = await freePorts(2);
  const folder = await mkdtemp(join(dir, 'b-'));
  const args = ['--registry', etcd.location, '--root', root, '--dir', folder, '--id', 'bench', '--haproxy', haproxyBin];
  const ports = ['--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`];
  const command = [resolve('bin/pointsman'), 'balance', '--log-format', 'json', ...args, ...ports];
  return await measure(node, '"event":"serving"', command, times);
}

async function putFleet(registry: Registry, servers: number): Promise<void> {
  const none = JSON.stringify({ check: { kind: 'none' } });
  for (let i = 0; i < services; i += 1) await registry.write(`services/${serviceName(i)}`, none);
  for (let i = 0; i < servers; i += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, servers - i) }, (_, j) => {
        const value = JSON.stringify({ address: siblingHost(i + j), port: 80 });
        return registry.write(`instances/${serviceName((i + j) % services)}/s${i + j}`, value);
      }),
    );
  }
}

async function versionOf(node: string): Promise<string> {
  const child = spawn(node, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await new Promise((done) => child.once('close', done));
  return text.trim();
}

console.log('# Memory and start on each Node\n');
console.log(`${await describeMachine(haproxyBin)}.\n`);
console.log(
  `Starts are the median of ${rounds} (a first one fills the compile cache), followed by the memory of the last process ${settleMs / 1000} s after it was ready. RSS is all resident memory, own is what no other process of the same Node shares (RssAnon). "Bare" is \`node -e\` with a timer. The 10,000 instances are in ${services} services; their start ends when HAProxy serves.\n`,
);
console.log(row('Node', 'process', 'start ms', 'RSS MB', 'own MB'));
console.log(row('---', '---', '---', '---', '---'));
const etcd = await startEtcd();
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
try {
  for (const [servers, processes] of [
    [10, ['bare', 'register, folder', 'register, etcd', 'balance, 10 instances']],
    [10_000, ['balance, 10,000 instances']],
  ] as const) {
    await putFleet(registry, servers);
    for (const node of nodes) {
      const version = await versionOf(node);
      for (const what of processes) console.log(row(version, what, ...cells(await one(node, what))));
    }
  }
} finally {
  await registry.close();
  await etcd.close();
  await rm(dir, { recursive: true, force: true });
}

async function one(node: string, what: string): Promise<Measured> {
  if (what === 'bare') return await bare(node);
  if (what === 'register, etcd') return await register(node, etcd.location);
  if (what === 'register, folder') {
    const folder = join(dir, 'registry');
    await mkdir(folder, { recursive: true });
    return await register(node, `dir:${folder}`);
  }
  return await balance(node, etcd, what.includes('10,000') ? 3 : Math.min(5, rounds));
}
