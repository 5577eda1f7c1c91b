// pointsman next to what people would take instead, on one machine in one run: how long a change takes, which requests a
// rolling deploy loses, what a request costs, and memory.
//
//   node scripts/bench.mjs peers [peers, pointsman,confd,caddy,nginx] [instances of the deploy, 20] > bench/results/peers.md
//   A peer whose program is missing is left out and named. CONFD_BIN names confd, HAPROXY_BIN another HAProxy for pointsman and
//   confd. Needs nginx and h2load (nghttp2-client). pointsman is also run on the newest HAProxy of `scripts/debian-root`.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { ask } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { Client } from './client.ts';
import { askAll } from './h2load.ts';
import { describeMachine } from './machine.ts';
import { startCaddyPeer } from './peers/caddy-peer.ts';
import { confdBin, type Ground, startConfdPeer, startPointsmanPeer } from './peers/haproxy-peers.ts';
import { startNginxPeer } from './peers/nginx-peer.ts';
import { type Fleet, memoryMb, type Peer, processorUs, start, versionOf } from './peers/peer.ts';
import { byHand, registered, rollingDeploy } from './peers/rolling-deploy.ts';
import { ms, quantile, row } from './quantiles.ts';
import { haproxyBin, root, siblingHost } from './ways.ts';

const wanted = (process.argv[2] ?? 'pointsman,confd,caddy,nginx').split(',');
const instances = Number(process.argv[3] ?? 20);
const [services, servers] = [100, 10];
const rounds = { fast: 50, slow: 15 };
const requests = { times: 5, each: 4000 };
const sleepMs = 2500;

const dir = await mkdtemp(join(tmpdir(), 'pm-peers-'));
const ends: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
try {
  await race();
} finally {
  for (const end of ends.reverse()) await end();
}

async function race(): Promise<void> {
  const app = await startAnswering();
  const etcd = await startEtcd();
  ends.push(() => etcd.close());
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  ends.push(() => registry.close());
  const fleet = fleetWith(app);
  await putFleet({ etcd, registry, dir, fleet });

  const results: Result[] = [];
  const absent: string[] = [];
  for (const { name, missing, open } of contestants()) {
    if (missing !== undefined) {
      absent.push(missing);
      continue;
    }
    process.stderr.write(`${name}\n`);
    const ground: Ground = { etcd, registry, dir: await mkdtemp(join(dir, 'peer-')), fleet };
    const peer = await open(ground);
    try {
      results.push(await measure(peer, app, ground));
    } finally {
      await peer.close();
    }
  }
  await print(results, absent);
}

type Contestant = {
  readonly name: string;
  readonly missing: string | undefined;
  readonly open: (ground: Ground) => Promise<Peer>;
};

function contestants(): readonly Contestant[] {
  const needs = (program: string, argument: string) =>
    versionOf(program, argument) === undefined ? `${program} is not on this machine` : undefined;
  const newest = join(process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots', 'sid.bin/haproxy');
  const all: readonly Contestant[] = [
    { name: 'pointsman', missing: undefined, open: (ground) => startPointsmanPeer(ground, haproxyBin) },
    {
      name: 'pointsman',
      missing: existsSync(newest) ? undefined : 'HAProxy 3.4 is not on this machine (`scripts/debian-root sid`)',
      open: (ground) => startPointsmanPeer(ground, newest),
    },
    { name: 'confd', missing: needs(confdBin, '-version'), open: startConfdPeer },
    { name: 'caddy', missing: needs('caddy', 'version'), open: (ground) => startCaddyPeer(ground.dir, ground.fleet) },
    { name: 'nginx', missing: needs('nginx', '-v'), open: (ground) => startNginxPeer(ground.dir, ground.fleet) },
  ];
  return all.filter(({ name }) => wanted.includes(name));
}

/** `web` and `late` have no instance yet; `early` has two that answer; the others are there for the size. */
function fleetWith(app: readonly string[]): Fleet {
  const others = Array.from({ length: services }, (_, service): [string, Map<string, string>] => [
    `other-${service}`,
    new Map(Array.from({ length: servers }, (_, i) => [`s${i}`, `${siblingHost(service * servers + i)}:80`])),
  ]);
  return new Map([
    ['web', new Map()],
    ['late', new Map()],
    ['early', new Map(app.map((address, i) => [`s${i}`, address]))],
    ...others,
  ]);
}

async function putFleet({ registry, fleet }: Ground): Promise<void> {
  for (const [service, of] of fleet) {
    await registry.write(`services/${service}`, JSON.stringify({ check: { kind: 'none' } }));
    for (const [id, address] of of) await registry.write(`instances/${service}/${id}`, address);
  }
}

type Result = {
  readonly peer: Peer;
  readonly added: readonly number[];
  readonly removed: readonly number[];
  readonly earlyUs: number;
  readonly lateUs: number;
  readonly proxyMb: number;
  readonly controllerMb: number;
  readonly deploys: readonly (readonly (string | number)[])[];
};

async function measure(peer: Peer, app: readonly string[], ground: Ground): Promise<Result> {
  await changes(peer, app, 3); // warm
  const count = peer.name.startsWith('pointsman') || peer.name.startsWith('Caddy') ? rounds.fast : rounds.slow;
  const { added, removed } = await changes(peer, app, count);
  const earlyUs = await requestUs(peer, 'early');
  for (const [i, address] of app.entries()) await peer.add('late', `s${i}`, address);
  await untilServes(peer, 'late');
  const lateUs = await requestUs(peer, 'late');
  const [proxyMb, controllerMb] = [await memoryMb(await peer.proxies()), await memoryMb(peer.controllers)];
  for (const [i] of app.entries()) await peer.remove('late', `s${i}`);
  const practices = peer.name.startsWith('pointsman')
    ? [registered(ground.etcd, ground.dir)]
    : [byHand(peer, ground.dir, 0), byHand(peer, ground.dir, sleepMs)];
  const deploys: (readonly (string | number)[])[] = [];
  for (const practice of practices) {
    const { tookMs, nudges, answered, failed, reasons } = await rollingDeploy(peer, practice, instances);
    const missed = nudges === 0 ? [] : [`missed the last change before the deploy ${nudges} times, until another came`];
    deploys.push([practice.name, (tookMs / 1000).toFixed(1), answered, failed, [...reasons, ...missed].join('; ')]);
  }
  return { peer, added, removed, earlyUs, lateUs, proxyMb, controllerMb, deploys };
}

/** From the beginning of a change until the first answer that shows it. */
async function changes(peer: Peer, [address = '']: readonly string[], count: number) {
  const client = new Client(peer.port, 'web');
  const added: number[] = [];
  const removed: number[] = [];
  await client.until(peer.absent);
  const timed = async (change: () => Promise<void>, status: number) => {
    const began = performance.now();
    const [shown] = await Promise.all([client.until(status), change()]);
    return shown - began;
  };
  for (let i = 0; i < count; i += 1) {
    added.push(await timed(() => peer.add('web', 'new', address), 200));
    removed.push(await timed(() => peer.remove('web', 'new'), peer.absent));
  }
  client.close();
  return { added, removed };
}

async function untilServes(peer: Peer, service: string): Promise<void> {
  let good = 0;
  await until(`${service} is served`, async () => {
    good = (await ask(peer.port, service)).status === 200 ? good + 1 : 0;
    return good >= 10;
  });
}

async function requestUs(peer: Peer, host: string): Promise<number> {
  const target = { port: peer.port, protocol: 'h1', host, path: '/' } as const;
  await askAll(target, requests.each);
  const us: number[] = [];
  for (let i = 0; i < requests.times; i += 1) {
    const pids = await peer.proxies();
    const before = await processorUs(pids);
    await askAll(target, requests.each);
    us.push(((await processorUs(pids)) - before) / requests.each);
  }
  return quantile(us, 0.5);
}

/** An nginx on two ports that answers every request with "ok". */
async function startAnswering(): Promise<readonly string[]> {
  const ports = await freePorts(2);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${dir}/${of};`);
  const listens = ports.map((port) => `listen 127.0.0.1:${port};`).join(' ');
  const config = join(dir, 'answering.conf');
  await writeFile(
    config,
    `daemon off; worker_processes 1; pid ${dir}/answering.pid; events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; ${temporary.join(' ')} server { ${listens} location / { return 200 "ok\\n"; } } }
`,
  );
  const nginx = start('nginx', ['-e', join(dir, 'answering.log'), '-c', config]);
  ends.push(nginx.end);
  await until('it answers', async () => (await ask(ports[1] ?? 0, 'any')).status === 200);
  return ports.map((port) => `127.0.0.1:${port}`);
}

async function print(results: readonly Result[], absent: readonly string[]): Promise<void> {
  console.log('# Next to others\n');
  console.log(`${await describeMachine(haproxyBin)}.\n`);
  console.log(
    `Each balancer has ${services} services of ${servers} servers, one service whose two servers answer, and the servers that change. One balancer runs at a time. The clients, the applications and etcd run on the same cores. None checks its servers. A change is a put to etcd (pointsman, confd), a call of the admin API (Caddy), or a new file, \`nginx -t\` and \`nginx -s reload\` (nginx); its time counts from its beginning to the first answer that shows it.\n`,
  );
  if (absent.length > 0) console.log(`Left out: ${absent.join('; ')}.\n`);
  console.log(row('balancer', 'add p50, ms', 'p99', 'remove p50, ms', 'µs a request', 'µs, added later', 'proxy, MB', 'beside it, MB')); // biome-ignore format: a table
  console.log(row(...Array.from({ length: 8 }, () => '---')));
  for (const { peer, added, removed, earlyUs, lateUs, proxyMb, controllerMb } of results) {
    const times = [quantile(added, 0.5), quantile(added, 0.99), quantile(removed, 0.5)].map(ms);
    console.log(row(peer.name, ...times, earlyUs.toFixed(1), lateUs.toFixed(1), proxyMb.toFixed(0), controllerMb.toFixed(0))); // biome-ignore format: a row
  }
  console.log(
    `\nA request costs this much processor time of the proxy's processes, the median of ${requests.times} times ${requests.each} requests of 32 clients that keep their connections; "added later" is to servers that were added while the balancer ran. Memory is Pss after these changes; "beside it" is pointsman or confd; etcd is not counted.\n`,
  );
  for (const { peer } of results) console.log(`- ${peer.name}: ${peer.what}`);
  console.log(
    `\nA rolling deploy of ${instances} instances, one after the other: an instance leaves, then its successor is started and added. An application dies at once at SIGTERM. Load: 2 clients with keep-alive, 2 without, and 1 whose requests take 2 s.\n`,
  );
  console.log(row('balancer', 'practice', 'took, s', 'answered', 'failed', 'how'));
  console.log(row(...Array.from({ length: 6 }, () => '---')));
  for (const { peer, deploys } of results) for (const cells of deploys) console.log(row(peer.name, ...cells));
  console.log('\nDebian has no Traefik, so it was not measured.');
}
