// From the acknowledged put of an instance to the first request that it answers, by pointsman, by the least that could do
// it (watch → command), and by check and reload. In one run, so that their ratios hold on any machine.
//
//   node scripts/bench.mjs propagation [rounds, 100] [sizes, 10,1000,10000]
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkConfig, readVersion } from '../src/haproxy/check.ts';
import { readProcesses, reloadMaster } from '../src/haproxy/master.ts';
import { connectRuntime } from '../src/haproxy/runtime-connection.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { openMember } from '../src/registry/etcd/member-client.ts';
import type { Registry } from '../src/registry/registry.ts';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { freePort, freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { Client } from './client.ts';
import { ms, quantile, row } from './quantiles.ts';

const rounds = Number(process.argv[2] ?? 100);
const sizes = (process.argv[3] ?? '10,1000,10000').split(',').map(Number);

// Its siblings drain, so that only the newcomer can answer and everything else is a 503.
const sibling = (i: number) => `127.${1 + Math.floor(i / 62_500)}.${Math.floor(i / 250) % 250}.${1 + (i % 250)}`;

type Way = {
  readonly name: string;
  readonly port: number;
  readonly memoryMb?: () => Promise<number>;
  close(): Promise<void>;
};

async function pointsman(etcd: EtcdCluster, dir: string): Promise<Way> {
  const [http = 0, admin = 0] = await freePorts(2);
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['bin/pointsman', 'balance', '--registry', etcd.location, '--root', '/bench/', '--dir', join(dir, 'b'), '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`, '--log-format', 'json', '--log-level', process.env['BENCH_LOG'] === undefined ? 'info' : 'debug'], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (log.length < 1_000_000) log += chunk.toString();
  });
  await until('pointsman serves', () => log.includes('"event":"serving"'), { deadlineMs: 60_000, everyMs: 2 });
  console.error(`  pointsman started and served after ${ms(performance.now() - started)} ms`);
  return {
    name: 'pointsman',
    port: http,
    memoryMb: async () =>
      Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024,
    async close() {
      if (process.env['BENCH_LOG'] !== undefined) await writeFile(process.env['BENCH_LOG'], log);
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** An HAProxy of its own for the other two ways, with the same backend. */
async function startHaproxy(dir: string, size: number) {
  const port = await freePort();
  const [socket, master, config] = [join(dir, 'h.sock'), join(dir, 'm.sock'), join(dir, 'h.cfg')];
  const text = (newcomer: string) => `global
    stats socket ${socket} mode 600 level admin expose-fd listeners
    stats timeout 1h
defaults
    mode http
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    option idle-close-on-response
frontend f
    bind 127.0.0.1:${port}
    use_backend %[req.hdr(host),field(1,:),lower]
backend web
    balance leastconn
${Array.from({ length: size }, (_, i) => `    server s${i} ${sibling(i)}:80 weight 0\n`).join('')}${newcomer}`;
  await writeFile(config, text(''));
  const child = spawn('haproxy', ['-W', '-S', master, '-f', config], { stdio: 'ignore' });
  await until('HAProxy serves', async () => (await readProcesses(master, 1000))?.workerPid !== undefined);
  return {
    port,
    socket,
    master,
    config,
    text,
    async close() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** Runs `act` for each event of the newcomer's key, with nothing between. */
async function watchNewcomer(etcd: EtcdCluster, act: (value: string | undefined) => void) {
  const client = await openMember(etcd.endpoints[0] ?? '', { endpoints: etcd.endpoints });
  const stream = await client.watch();
  stream.on('error', () => undefined);
  const created = new Promise<void>((resolve) => {
    stream.on('data', (response) => {
      if (response.created) resolve();
      for (const { type, kv } of response.events) act(type === 'Delete' ? undefined : kv.value.toString());
    });
  });
  stream.write({ create_request: { key: Buffer.from('/bench/instances/web/new') } });
  await created;
  return () => {
    stream.cancel();
    client.close();
  };
}

async function floor(etcd: EtcdCluster, dir: string, size: number): Promise<Way> {
  const haproxy = await startHaproxy(dir, size);
  const runtime = await connectRuntime({
    path: haproxy.socket,
    greetingMs: 5000,
    answerMs: 5000,
    onLost: () => undefined,
  });
  // A new name each time: one that still closes a connection could not be added again.
  let round = 0;
  const stop = await watchNewcomer(etcd, (value) => {
    if (value !== undefined) round += 1;
    const commands =
      value === undefined
        ? [`set server web/new${round} state maint`, `del server web/new${round}`]
        : [`add server web/new${round} ${value} weight 100`, `set server web/new${round} state ready`];
    runtime.run(commands).catch(() => undefined);
  });
  return {
    name: 'floor',
    port: haproxy.port,
    async close() {
      stop();
      runtime.close();
      await haproxy.close();
    },
  };
}

async function reload(etcd: EtcdCluster, dir: string, size: number): Promise<Way> {
  const haproxy = await startHaproxy(dir, size);
  let last: Promise<unknown> = Promise.resolve();
  const stop = await watchNewcomer(etcd, (value) => {
    last = last.then(async () => {
      await writeFile(haproxy.config, haproxy.text(value === undefined ? '' : `    server new ${value} weight 100\n`));
      await checkConfig('haproxy', haproxy.config, 30_000);
      await reloadMaster(haproxy.master, 30_000);
    });
  });
  return {
    name: 'reload',
    port: haproxy.port,
    async close() {
      stop();
      await last;
      await haproxy.close();
    },
  };
}

async function measure(way: Way, registry: Registry, address: string, count: number): Promise<readonly number[]> {
  const client = new Client(way.port, 'web');
  const times: number[] = [];
  await client.until(503);
  for (let i = 0; i < count; i += 1) {
    await registry.write('instances/web/new', address);
    const acknowledged = performance.now();
    times.push((await client.until(200)) - acknowledged);
    await registry.remove('instances/web/new');
    await client.until(503);
  }
  client.close();
  return times;
}

const app = createServer((_, response) => response.end('new'));
await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
const address = `127.0.0.1:${(app.address() as AddressInfo).port}`;
const etcdVersion = /etcd Version: (\S+)/.exec(execFileSync('etcd', ['--version']).toString())?.[1];
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim();
console.log(`# Propagation\n`);
console.log(
  `${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}, HAProxy ${await readVersion('haproxy')}, etcd ${etcdVersion}, commit ${commit}.`,
);
console.log(`Acknowledged put → first request by the new server, in ms, ${rounds} rounds (reload: a tenth).\n`);
console.log(
  row(
    'servers',
    'pointsman p50',
    'p99',
    'floor p50',
    'p99',
    'reload p50',
    'pointsman / floor',
    'reload / pointsman',
    'RSS MB',
  ),
);
console.log(row('---', '---', '---', '---', '---', '---', '---', '---', '---'));
for (const size of sizes) {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/bench/' });
  const dirs: string[] = [];
  const folder = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
    dirs.push(dir);
    return dir;
  };
  await registry.write('services/web', JSON.stringify({ check: { kind: 'none' } }));
  for (let i = 0; i < size; i += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, size - i) }, (_, j) =>
        registry.write(
          `instances/web/s${i + j}`,
          JSON.stringify({ address: sibling(i + j), port: 80, state: 'draining' }),
        ),
      ),
    );
  }
  const run = async (open: () => Promise<Way>, count: number) => {
    const way = await open();
    try {
      await measure(way, registry, address, Math.min(10, count)); // warm
      return { times: await measure(way, registry, address, count), memory: await way.memoryMb?.() };
    } finally {
      await way.close();
    }
  };
  const own = await run(async () => pointsman(etcd, await folder()), rounds);
  const least = await run(async () => floor(etcd, await folder(), size), rounds);
  const slow = await run(async () => reload(etcd, await folder(), size), Math.max(5, rounds / 10));
  const [p, f, r] = [quantile(own.times, 0.5), quantile(least.times, 0.5), quantile(slow.times, 0.5)];
  console.log(
    row(
      size,
      ms(p),
      ms(quantile(own.times, 0.99)),
      ms(f),
      ms(quantile(least.times, 0.99)),
      ms(r),
      `${(p / f).toFixed(2)}×`,
      `${(r / p).toFixed(0)}×`,
      ms(own.memory ?? Number.NaN),
    ),
  );
  await registry.close();
  await etcd.close();
  for (const dir of dirs) await rm(dir, { recursive: true, force: true });
}
app.close();
