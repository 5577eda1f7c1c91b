// The load of an etcd: 10,000 instances that 100 agents hold under leases, and 1, 20 and 200 followers, each as a balancer
// follows it; straight, and by etcd's own gRPC proxy. How late the last of them is told of a change, what a burst takes, how
// soon all have caught up when they or etcd start again, and what it costs etcd. Then the same with acknowledgements.
//
//   node scripts/bench.mjs scale [followers, 1,20,200] [instances, 10000]
//   ETCD_ROOT names a folder with another etcd, as scripts/debian-root prints one
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { startGrpcProxy } from '../test/support/grpc-proxy.ts';
import { describeMachine } from './machine.ts';
import { ms, quantile, row } from './quantiles.ts';
import { type At, now, standInCrowd } from './scale-crowd.ts';
import { followersInAProcess, startCrowd, startCrowds } from './scale-crowds.ts';
import { root } from './ways.ts';

const agents = 100;
const steady = { count: 100, everyMs: 50 };
const burst = 2000;
const downMs = 2000;
const sidecars = 1000;
const leasesMs = 10_000;
const restMs = 3000;
const instances = Number(process.argv[3] ?? 10_000);

/** Seconds of processor time of a process until now; 0 for none. */
async function cpuOf(pid: number | undefined): Promise<number> {
  if (pid === undefined) return 0;
  const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(stat[11]) + Number(stat[12])) / 100; // in clock ticks, 100 a second on Linux
}

async function mostMemoryMb(pid: number | undefined): Promise<number> {
  if (pid === undefined) return 0;
  return Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

type Way = {
  readonly name: string;
  readonly counts: readonly number[];
  readonly proxied?: true;
  readonly acknowledged?: true;
};

type Figures = Awaited<ReturnType<typeof measure>>;

/** Processor time until some moment, in seconds. */
type Cost = { readonly at: number; readonly etcd: number; readonly proxy: number; readonly followers: number };

/** An etcd with all instances in it, whose agents go on keeping them alive. */
async function startGround() {
  const etcd = await startEtcd();
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const hosts = startCrowd();
  await hosts.ask({ kind: 'register', endpoints: etcd.endpoints, name: 'host', agents, each: instances / agents });
  return {
    etcd,
    registry,
    hosts,
    async close(): Promise<void> {
      await hosts.end();
      await registry.close();
      await etcd.close();
    },
  };
}

/** Processor time of etcd for one more lease, in ms a second. */
async function costOfALease({ etcd }: Ground): Promise<number> {
  const pid = etcd.members[0]?.pid();
  const spent = async () => {
    const [from, began] = [await cpuOf(pid), now()];
    await pause(leasesMs);
    return ((await cpuOf(pid)) - from) / ((now() - began) / 1000);
  };
  const without = await spent();
  const crowd = startCrowd();
  await crowd.ask({ kind: 'register', endpoints: etcd.endpoints, name: 'alone', agents: sidecars, each: 1 });
  const withThem = await spent();
  await crowd.end();
  return (1000 * (withThem - without)) / sidecars;
}

type Ground = Awaited<ReturnType<typeof startGround>>;

async function measure({ etcd, registry, hosts }: Ground, way: Way, followers: number) {
  const [member] = etcd.members;
  const proxy = way.proxied ? await startGrpcProxy(etcd.endpoints) : undefined;
  const endpoints = proxy === undefined ? etcd.endpoints : [proxy.endpoint];
  let crowds = startCrowds(followers);
  const cost = async (): Promise<Cost> => ({
    at: now(),
    etcd: await cpuOf(member?.pid()),
    proxy: await cpuOf(proxy?.pid),
    followers: await crowds.cpu(),
  });
  try {
    await crowds.follow(endpoints);
    await crowds.reach(0n);
    if (way.acknowledged) await crowds.acknowledge(etcd.endpoints);

    const still = await cost();
    await pause(restMs);
    const rested = await cost();

    await crowds.seen();
    const calm = await cost();
    const before = (await registry.read('none')).revision;
    const { revisions: changes = [] } = await hosts.ask({ kind: 'change', ...steady });
    await crowds.reach(newest(changes));
    const acknowledgements = Number((await registry.read('none')).revision - before) - steady.count;
    const calmOver = await cost();
    const { at } = await crowds.seen();
    const lags = changes.map(([revision, put]) => (at.get(revision) ?? Number.NaN) - put);

    const idle = await cost();
    const hurried = await hosts.ask({ kind: 'change', count: burst });
    const seenAt = await crowds.reach(newest(hurried.revisions ?? []));
    const busy = await cost();

    await crowds.end();
    crowds = startCrowds(followers);
    const empty = await cost();
    const caughtUpAt = await crowds.follow(endpoints);
    const full = await cost();
    await crowds.reach(0n);
    const { disconnected } = await crowds.seen();
    const [etcdMb, proxyMb] = [await mostMemoryMb(member?.pid()), await mostMemoryMb(proxy?.pid)];

    await member?.stop();
    await pause(downMs);
    const startedAt = now();
    member?.start();
    await etcd.healthy();
    const backAt = await crowds.reach(await registry.write('keys/after', 'the restart'));

    return {
      rest: between(still, rested),
      calm: { ...between(calm, calmOver), p50: quantile(lags, 0.5), p99: quantile(lags, 0.99), acknowledgements },
      burst: { ...between(idle, busy), changesPerS: burst / ((seenAt - idle.at) / 1000) },
      start: { ...between(empty, full), ms: caughtUpAt - empty.at, disconnected },
      back: { ms: backAt - startedAt },
      memory: { etcdMb, proxyMb },
    };
  } finally {
    await crowds.end();
    await proxy?.close();
  }
}

const newest = (revisions: readonly At[]): bigint =>
  revisions.reduce((most, [one]) => (BigInt(one) > most ? BigInt(one) : most), 0n);

/** Processor time, and as a share of one core. */
function between(from: Cost, to: Cost) {
  const of = (what: 'etcd' | 'proxy' | 'followers') => {
    const s = to[what] - from[what];
    return { s, share: `${((100_000 * s) / (to.at - from.at)).toFixed(0)} %` };
  };
  return { ms: to.at - from.at, etcd: of('etcd'), proxy: of('proxy'), followers: of('followers') };
}

if (process.argv[2] === 'crowd') standInCrowd();
else await report();

async function report(): Promise<void> {
  const counts = (process.argv[2] ?? '1,20,200').split(',').map(Number);
  const ways: readonly Way[] = [
    { name: 'etcd', counts },
    { name: 'grpc-proxy', counts, proxied: true },
    { name: 'etcd, acknowledged', counts: counts.slice(1), acknowledged: true },
  ];
  const measured: (Figures & { readonly what: readonly (string | number)[] })[] = [];
  const ground = await startGround();
  let lease: number;
  try {
    for (const way of ways) {
      for (const followers of way.counts) {
        process.stderr.write(`${way.name}, ${followers} followers\n`);
        measured.push({ what: [way.name, followers], ...(await measure(ground, way, followers)) });
      }
    }
    lease = await costOfALease(ground);
  } finally {
    await ground.close();
  }
  const table = (head: readonly string[], line: (of: (typeof measured)[number]) => readonly (string | number)[]) => {
    console.log(
      `\n${row('followers of', '', ...head)}\n${row(...Array.from({ length: head.length + 2 }, () => '---'))}`,
    );
    for (const one of measured) console.log(row(...one.what, ...line(one)));
  };
  console.log('# Scale\n');
  console.log(`${await describeMachine()}.\n`);
  console.log(
    `One etcd; ${instances} instances, registered by ${agents} agents with a lease each. Followers are pointsman's own, each with its own connections, in processes of ${followersInAProcess}. All of this shares the machine's cores: where followers take more than etcd, they are what sets the pace here. etcd, its proxy and followers are given as shares of one core, or in seconds of processor time.`,
  );
  console.log(
    `\nAt rest, and with ${1000 / steady.everyMs} changes a second: from the put of an instance until the last follower was told.`,
  );
  table(
    ['etcd at rest', 'proxy at rest', 'p50 ms', 'p99 ms', 'etcd', 'proxy', 'followers', 'acknowledgements a second'],
    ({ rest, calm }) => [
      ...[rest.etcd.share, rest.proxy.share, ms(calm.p50), ms(calm.p99), calm.etcd.share, calm.proxy.share],
      ...[calm.followers.share, ((1000 * calm.acknowledgements) / calm.ms).toFixed(0)],
    ],
  );
  console.log(`\n${burst} changes as fast as they are taken, until all followers were told all of them.`);
  table(
    ['changes a second', 'events a second', 'etcd', 'proxy', 'followers'],
    ({ what, burst: { changesPerS, etcd, proxy, followers } }) => [
      ...[changesPerS.toFixed(0), (changesPerS * Number(what[1])).toFixed(0)],
      ...[etcd.share, proxy.share, followers.share],
    ],
  );
  console.log(
    `\nAll followers start at once, until the last has everything; then etcd is killed, and starts again after ${downMs / 1000} s: from there until it has answered, taken a put, and all were told of it.`,
  );
  table(
    [
      'all have started, s',
      'etcd, s',
      'proxy, s',
      'followers, s',
      'attempts that failed',
      'etcd is back, s',
      'etcd, most MB',
      'proxy, most MB',
    ],
    ({ start, back, memory }) => [
      ...[
        (start.ms / 1000).toFixed(1),
        start.etcd.s.toFixed(1),
        start.proxy.s.toFixed(1),
        start.followers.s.toFixed(1),
      ],
      ...[start.disconnected, (back.ms / 1000).toFixed(1), memory.etcdMb.toFixed(0), memory.proxyMb.toFixed(0)],
    ],
  );
  console.log(
    `\nAn instance with a lease of its own, as a register beside each application has it, costs etcd ${lease.toFixed(2)} ms of processor time a second (by ${sidecars} of them, TTL 10 s), so 10,000 cost ${(lease * 1000).toFixed(0)} % of a core; the ${instances} of ${agents} agents are in the figures at rest.`,
  );
}
