// From the acknowledged put of an instance to the first request that it answers, by pointsman, by the least that could do
// it (watch → command), and by check and reload; then bursts, removals, and what a load notices of many changes. In one
// run, so that ratios hold on any machine.
//
//   node scripts/bench.mjs propagation [rounds, 100] [fleets, 10/1,1000/1,1000/100,10000/1,10000/100]     servers/services
//   HAPROXY_BIN names another HAProxy
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVersion } from '../src/haproxy/check.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../src/registry/registry.ts';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { until } from '../test/support/until.ts';
import { Client } from './client.ts';
import { startLoad } from './load.ts';
import { ms, quantile, row } from './quantiles.ts';
import {
  type Fleet,
  haproxyBin,
  root,
  serviceName,
  siblingHost,
  startFloor,
  startPointsman,
  startReload,
  type Way,
} from './ways.ts';

const rounds = Number(process.argv[2] ?? 100);
const fleets = (process.argv[3] ?? '10/1,1000/1,1000/100,10000/1,10000/100').split(',').map((text): Fleet => {
  const [servers = 0, services = 1] = text.split('/').map(Number);
  return { servers, services };
});
const burst = 1000;

type Place = { readonly etcd: EtcdCluster; readonly registry: Registry; readonly folder: () => Promise<string> };

/** An etcd with this fleet in it, for one section of the benchmark. */
async function withFleet(fleet: Fleet, section: (place: Place) => Promise<void>): Promise<void> {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const dirs: string[] = [];
  const folder = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
    dirs.push(dir);
    return dir;
  };
  try {
    const none = JSON.stringify({ check: { kind: 'none' } });
    for (let i = 0; i < fleet.services; i += 1) await registry.write(`services/${serviceName(i)}`, none);
    await inBatches(fleet.servers, (i) => {
      const value = JSON.stringify({ address: siblingHost(i), port: 80, weight: 0 });
      return registry.write(`instances/${serviceName(i % fleet.services)}/s${i}`, value);
    });
    await section({ etcd, registry, folder });
  } finally {
    await registry.close();
    await etcd.close();
    for (const dir of dirs) await rm(dir, { recursive: true, force: true });
  }
}

async function inBatches(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i += 500) {
    await Promise.all(Array.from({ length: Math.min(500, count - i) }, (_, j) => act(i + j)));
  }
}

async function joins(way: Way, registry: Registry, count: number) {
  const client = new Client(way.port, 'web');
  const added: number[] = [];
  const removed: number[] = [];
  await client.until(503);
  for (let i = 0; i < count; i += 1) {
    await registry.write('instances/web/new', address);
    const put = performance.now();
    added.push((await client.until(200)) - put);
    await registry.remove('instances/web/new');
    const deleted = performance.now();
    removed.push((await client.until(503)) - deleted);
  }
  client.close();
  return { added, removed };
}

async function measured<T>(open: () => Promise<Way>, act: (way: Way) => Promise<T>): Promise<T> {
  const way = await open();
  try {
    return await act(way);
  } finally {
    await way.close();
  }
}

async function latency(): Promise<void> {
  console.log(`\n## One instance joins, and leaves\n`);
  console.log(
    `From the acknowledged put (or delete) to the first request that shows it, in ms; ${rounds} rounds (reload: a tenth).\n`,
  );
  console.log(row('servers', 'services', 'pointsman p50', 'p99', 'floor p50', 'p99', 'reload p50', 'pointsman / floor', 'reload / pointsman', 'leave p50', 'floor', 'RSS MB', 'start ms')); // biome-ignore format: a table's head
  console.log(row(...Array.from({ length: 13 }, () => '---')));
  for (const fleet of fleets) {
    await withFleet(fleet, async ({ etcd, registry, folder }) => {
      const run = async (open: () => Promise<Way>, count: number) =>
        measured(open, async (way) => {
          await joins(way, registry, Math.min(10, count)); // warm
          return { ...(await joins(way, registry, count)), memory: await way.memoryMb?.(), startedMs: way.startedMs };
        });
      const own = await run(async () => startPointsman(etcd, await folder()), rounds);
      const least = await run(async () => startFloor(etcd, await folder(), fleet), rounds);
      const slow = await run(async () => startReload(etcd, await folder(), fleet), Math.max(5, rounds / 10));
      const [p, f, r] = [quantile(own.added, 0.5), quantile(least.added, 0.5), quantile(slow.added, 0.5)];
      console.log(row(fleet.servers, fleet.services, ms(p), ms(quantile(own.added, 0.99)), ms(f), ms(quantile(least.added, 0.99)), ms(r), `${(p / f).toFixed(2)}×`, `${(r / p).toFixed(0)}×`, ms(quantile(own.removed, 0.5)), ms(quantile(least.removed, 0.5)), ms(own.memory ?? Number.NaN), ms(own.startedMs ?? Number.NaN))); // biome-ignore format: a table's row
    });
  }
}

/** Each newcomer listens on an address of its own, so that each one can be seen to serve. */
async function bursts(): Promise<void> {
  console.log(`\n## ${burst} instances join at once\n`);
  console.log(`From the last acknowledged put until all ${burst} were seen to answer, in ms.\n`);
  console.log(row('way', 'puts took', 'all serving after', 'reloads'));
  console.log(row('---', '---', '---', '---'));
  const fleet = { servers: 10, services: 1 };
  await withFleet(fleet, async ({ etcd, registry, folder }) => {
    const ways = [
      async () => startPointsman(etcd, await folder()),
      async () => startFloor(etcd, await folder(), fleet),
      async () => startReload(etcd, await folder(), fleet),
    ];
    for (const open of ways) {
      await measured(open, async (way) => {
        const load = new Seen(way.port);
        await load.ready();
        const began = performance.now();
        await inBatches(burst, (i) => registry.write(`instances/web/new-${i}`, `${newcomer(i)}:${appPort}`));
        const last = performance.now();
        const all = await load.all(burst);
        const reloads = way.metric === undefined ? '' : await way.metric('reloads_total');
        console.log(row(way.name, ms(last - began), ms(Math.max(0, all - last)), reloads));
        load.close();
        await inBatches(burst, (i) => registry.remove(`instances/web/new-${i}`));
      });
    }
  });
}

const newcomer = (i: number) => `127.9.${Math.floor(i / 250)}.${1 + (i % 250)}`;

/** Asks on several connections, and notes which of the newcomers have answered. */
class Seen {
  readonly #clients: readonly Client[];
  constructor(port: number) {
    this.#clients = Array.from({ length: 8 }, () => new Client(port, 'web'));
  }
  async ready(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.until(503)));
  }
  /** The time at which the last of `count` answered for the first time. */
  async all(count: number): Promise<number> {
    const seen = new Set<string>();
    const deadline = performance.now() + 120_000;
    let at = 0;
    await Promise.all(
      this.#clients.map(async (client) => {
        while (seen.size < count) {
          if (performance.now() > deadline) throw new Error(`${seen.size} of ${count} answered within 120 s`);
          const answer = await client.answer().catch(() => undefined);
          if (answer?.status !== 200 || seen.has(answer.body)) continue;
          seen.add(answer.body);
          at = performance.now();
        }
      }),
    );
    return at;
  }
  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** The requests that a load loses during 1,000 changes and 50 reloads. */
async function losses(): Promise<void> {
  console.log(`\n## Requests under load\n`);
  console.log(row('what happens meanwhile', 'answered', 'failed', 'reloads', ''));
  console.log(row('---', '---', '---', '---', '---'));
  await withFleet({ servers: 10, services: 1 }, async ({ etcd, registry, folder }) => {
    await registry.write('instances/web/stays', address);
    await measured(
      async () => startPointsman(etcd, await folder()),
      async (way) => {
        const serving = new Client(way.port, 'web');
        await serving.until(200);
        serving.close();
        const under = async (what: string, act: () => Promise<void>) => {
          const before = (await way.metric?.('reloads_total')) ?? 0;
          const load = startLoad(way.port, 'web', 16);
          await act();
          const { answered, failed, reasons } = await load.stop();
          console.log(
            row(what, answered, failed, ((await way.metric?.('reloads_total')) ?? 0) - before, reasons.join(', ')),
          );
        };
        await under('1,000 changes', async () => {
          for (let i = 0; i < 500; i += 1) {
            await registry.write('instances/web/new', `${newcomer(i)}:${appPort}`);
            await registry.write('instances/web/new', JSON.stringify({ address: newcomer(i), port: appPort, state: 'draining' })); // biome-ignore format: one write
            if (i % 10 === 9) await registry.remove('instances/web/new');
          }
        });
        await under('50 reloads', async () => {
          for (let i = 0; i < 50; i += 1) {
            const before = await way.metric?.('reloads_total');
            const balance = i % 2 === 0 ? 'roundrobin' : 'leastconn';
            await registry.write('services/web', JSON.stringify({ balance, check: { kind: 'none' } }));
            await until('it is reloaded', async () => (await way.metric?.('reloads_total')) !== before, {
              everyMs: 20,
            });
          }
        });
      },
    );
  });
}

const app = createServer((request, response) => response.end(request.socket.localAddress));
await new Promise<void>((resolve) => app.listen(0, '0.0.0.0', resolve));
const appPort = (app.address() as AddressInfo).port;
const address = `127.0.0.1:${appPort}`;
const etcdVersion = /etcd Version: (\S+)/.exec(execFileSync('etcd', ['--version']).toString())?.[1];
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim();
console.log('# Propagation\n');
console.log(
  `${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}, HAProxy ${await readVersion(haproxyBin)}, etcd ${etcdVersion}, commit ${commit}.`,
);
await latency();
await bursts();
await losses();
app.close();
