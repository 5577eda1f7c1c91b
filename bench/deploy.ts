// A rolling deploy under load over three balancers: by register and wait, by deregistering and killing, and by the same
// with a pause between. Then how long an idle instance takes to leave, and what register costs.
//
//   node scripts/bench.mjs deploy [instances, 20] [rounds, 100] [somebody else's reloads every so many ms, none]
//   With such reloads only by register and wait, four times; with 0 rounds without figures of idle instances.
//   HAPROXY_BIN names another HAProxy
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { reloadMaster } from '../src/haproxy/master.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePort } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { application, startSteadyLoad } from './steady-load.ts';
import { haproxyBin, root, startPointsman } from './ways.ts';

const instances = Number(process.argv[2] ?? 20);
const rounds = Number(process.argv[3] ?? 100);
const foreignMs = Number(process.argv[4] ?? 0);
const sleepMs = 5000;

const etcd = await startEtcd();
const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const app = join(dir, 'app.cjs');
await writeFile(app, application);
const children = new Set<ChildProcess>();

function start(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  children.add(child);
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<number>((resolve) => {
    child.once('close', (code) => {
      children.delete(child);
      resolve(code ?? 1);
    });
  });
  return { child, ended, log: () => log };
}

const pointsman = (command: string, ...args: readonly string[]) =>
  start(resolve('bin', 'pointsman'), [command, '--registry', etcd.location, '--root', root, '--log-format', 'json', ...args]); // biome-ignore format: a command line

const registering = (id: string, port: number, ...command: readonly string[]) =>
  pointsman('register', '--service', 'web', '--id', id, '--address', `127.0.0.1:${port}`, ...command);

async function waitFor(id: string): Promise<void> {
  const { ended, log } = pointsman('wait', `web/${id}`, '--timeout', '60s');
  if ((await ended) !== 0) throw new Error(log());
}

type Running = { readonly leave: () => Promise<void> };
type Practice = { readonly name: string; readonly start: (id: string, version: string) => Promise<Running> };

const registered: Practice = {
  name: 'register, wait',
  async start(id, version) {
    const port = await freePort();
    const { child, ended } = registering(id, port, '--', process.execPath, app, `${id} ${version}`, String(port));
    await waitFor(id);
    return {
      async leave() {
        child.kill('SIGTERM');
        await ended;
      },
    };
  },
};

const byHand = (name: string, pauseMs: number): Practice => ({
  name,
  async start(id, version) {
    const port = await freePort();
    const { child, ended } = start(process.execPath, [app, `${id} ${version}`, String(port)]);
    await until('it listens', async () => (await ask(port, 'web')).status === 200);
    await registry.write(`instances/web/${id}`, `127.0.0.1:${port}`);
    return {
      async leave() {
        await registry.remove(`instances/web/${id}`);
        await pause(pauseMs);
        child.kill('SIGTERM');
        await ended;
      },
    };
  },
});

console.log('# Deploys\n');
console.log(`${await describeMachine(haproxyBin)}.\n`);
const balancers = [];
const masters: string[] = [];
for (const id of ['lb-1', 'lb-2', 'lb-3']) {
  const folder = await mkdtemp(join(dir, 'b-'));
  masters.push(join(folder, 'b/run/master.sock'));
  balancers.push(await startPointsman(etcd, folder, id));
}
const ports = balancers.map(({ port }) => port);
const ids = Array.from({ length: instances }, (_, i) => `web-${i}`);

console.log(
  `A rolling deploy of ${instances} instances, one after the other, over three balancers. An application dies at once at SIGTERM. Load on each balancer: 2 clients with keep-alive, 2 without, and 1 whose requests take 2 s.\n`,
);
console.log(row('practice', 'took, s', 'answered', 'of these of 2 s', 'failed', 'how'));
console.log(row('---', '---', '---', '---', '---', '---'));
let foreign = 0;
const ending = new AbortController();
const reloading = foreignMs > 0 ? Promise.all(masters.map(reloadByOthers)) : undefined;
const all = [registered, byHand('deregister, kill', 0), byHand('deregister, sleep 5, kill', sleepMs)];
for (const practice of foreignMs > 0 ? Array.from({ length: 4 }, () => registered) : all) {
  const running: Running[] = [];
  for (const id of ids) running.push(await practice.start(id, 'old'));
  const serves = (port: number) => async () => (await ask(port, 'web')).status === 200;
  for (const port of ports) await until('it is served', serves(port));
  const load = startSteadyLoad({ ports, host: 'web', keepAlive: 2, fresh: 2, slow: 1, everyMs: 15 });
  await until('each of them is asked', () => load.result().bodies.size === instances, { deadlineMs: 60_000 });
  const began = performance.now();
  for (const [i, id] of ids.entries()) {
    await running[i]?.leave();
    running[i] = await practice.start(id, 'new');
  }
  const tookMs = performance.now() - began;
  const { answered, slowAnswered, failed, reasons } = await load.stop();
  console.log(row(practice.name, (tookMs / 1000).toFixed(1), answered, slowAnswered, failed, reasons.join('; ')));
  await Promise.all(running.map(({ leave }) => leave()));
}

ending.abort();
await reloading;
if (foreignMs > 0) console.log(`\nReloads by somebody else, each ${foreignMs} ms of each HAProxy: ${foreign}.`);

const idle = {
  visible: [] as number[],
  drained: [] as number[],
  left: [] as number[],
  ended: [] as number[],
  memory: [] as number[],
};
let visible: (key: string) => void = () => undefined;
const follower = registry.follow(
  (event) => {
    if (event.kind !== 'changes') return;
    for (const change of event.changes) if (change.kind === 'put') visible(change.entry.key);
  },
  { first: 'instances/', end: 'instances0' },
);
await waitUntilFollowing();
for (let i = 0; i < rounds; i += 1) {
  const seen = new Promise<number>((resolve) => {
    visible = (key) => {
      if (key === `instances/web/idle-${i}`) resolve(performance.now());
    };
  });
  const began = performance.now();
  const { child, ended, log } = registering(`idle-${i}`, 1);
  idle.visible.push((await seen) - began);
  await waitFor(`idle-${i}`);
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
  idle.memory.push(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024);
  const told = performance.now();
  child.kill('SIGTERM');
  await until('it has left', () => log().includes('"event":"left"'), { everyMs: 1 });
  idle.left.push(performance.now() - told);
  await ended;
  idle.ended.push(performance.now() - told);
  const letGo =
    log()
      .split('\n')
      .find((line) => line.includes('"event":"let-go"')) ?? '{}';
  idle.drained.push((JSON.parse(letGo) as { ms: number }).ms);
}
await follower.close();
console.log(`\nAn idle instance, registered with no command; ${rounds} rounds, the three balancers beside it.\n`);
console.log(row('', 'p50', 'p99'));
console.log(row('---', '---', '---'));
const line = (name: string, values: readonly number[]) =>
  console.log(row(name, ms(quantile(values, 0.5)), ms(quantile(values, 0.99))));
line('start of the process → its key is visible, ms', idle.visible);
line('SIGTERM → its key is removed, ms', idle.left);
line('of these: `draining` is put → every balancer has drained it, ms', idle.drained);
line('SIGTERM → end of the process, ms', idle.ended);
line('RSS of register, MB', idle.memory);

async function reloadByOthers(master: string): Promise<void> {
  while (!ending.signal.aborted) {
    await pause(foreignMs, undefined, { signal: ending.signal }).catch(() => undefined);
    await reloadMaster(master, 10_000).then(
      () => (foreign += 1),
      () => undefined,
    );
  }
}

async function waitUntilFollowing(): Promise<void> {
  const first = new Promise<void>((resolve) => {
    visible = () => resolve();
  });
  await pause(500);
  await registry.write('instances/web/probe', '127.0.0.1:1');
  await first;
  await registry.remove('instances/web/probe');
}

for (const balancer of balancers) await balancer.close();
for (const child of children) child.kill('SIGKILL');
await registry.close();
await etcd.close();
await rm(dir, { recursive: true, force: true });
