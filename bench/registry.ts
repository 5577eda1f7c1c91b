// etcd as the registry: how soon a follower is whole again after cuts, outages and a stopped member, what a large tree and
// many events cost, and what it takes to hold many registrations in one process.
//
//   node scripts/bench.mjs registry [rounds, 20]
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { type EtcdCluster, startEtcd } from '../test/support/etcd.ts';
import { fillEtcd } from '../test/support/etcd-fill.ts';
import { startTcpProxy, type TcpProxy } from '../test/support/tcp-proxy.ts';
import { until } from '../test/support/until.ts';
import { ms, quantile, row } from './quantiles.ts';
import { child, cpuMs, held, instance, root, startChild, ttlMs } from './registry-child.ts';

const listed = 50_000;
const events = 100_000;

/** A follower in this process, and when it last became what. */
function follow(endpoints: readonly string[], random = Math.random) {
  const registry = openEtcdRegistry({ endpoints, root, random });
  const state = { revision: -1n, connected: '' };
  registry.follow((event) => {
    if (event.kind === 'connected') state.connected = event.member;
    else if (event.kind === 'disconnected') state.connected = '';
    else state.revision = event.revision;
  });
  return { state, close: () => registry.close() };
}

async function proxied(etcd: EtcdCluster): Promise<TcpProxy[]> {
  return Promise.all(etcd.members.map(({ clientPort }) => startTcpProxy(clientPort)));
}

/** From the moment a cut connection can be made again until the follower has the `missed` changes of before. */
async function catchUp(etcd: EtcdCluster, rounds: number, missed: number, outageMs: number): Promise<number[]> {
  const proxies = await proxied(etcd);
  const { state, close } = follow(proxies.map(({ endpoint }) => endpoint));
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await until('it follows', () => state.connected !== '', { deadlineMs: 30_000 });
    // Nothing passes while the changes are made, so that the cut loses them all.
    for (const proxy of proxies) {
      if (outageMs === 0) proxy.blackHole(true);
      else proxy.refuse(true);
    }
    const changes = Array.from({ length: missed }, (_, i) => [`${root}instances/web/${i}`, `${round}-${i}`] as const);
    // One transaction a change: as many revisions.
    let last = 0n;
    for (const change of changes) last = await fillEtcd(etcd.endpoints, [change]);
    await pause(outageMs);
    for (const proxy of proxies) {
      proxy.cut();
      if (outageMs === 0) proxy.blackHole(false);
      else proxy.refuse(false);
    }
    const returned = performance.now();
    await until('it has them', () => state.revision >= last, { deadlineMs: 30_000, everyMs: 1 });
    times.push(performance.now() - returned);
  }
  await close();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  return times;
}

/** From SIGSTOP of the member that is followed until another one is. */
async function leaveStopped(etcd: EtcdCluster, rounds: number, role: 'leader' | 'follower'): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const leader = await etcd.leader();
    const member = etcd.members.find((one) => (one === leader) === (role === 'leader')) ?? leader;
    const others = etcd.endpoints.filter((endpoint) => endpoint !== member.endpoint);
    // Without shuffling: the first is the one that is followed.
    const { state, close } = follow([member.endpoint, ...others], () => 0.999);
    await until('it follows the member', () => state.connected === member.endpoint);
    member.signal('SIGSTOP');
    const stopped = performance.now();
    await until('it follows another', () => others.includes(state.connected), { deadlineMs: 30_000, everyMs: 1 });
    times.push(performance.now() - stopped);
    member.signal('SIGCONT');
    await close();
    await etcd.healthy();
  }
  return times;
}

const spread = (times: readonly number[]): string =>
  `${ms(quantile(times, 0.5))} ms, most ${ms(Math.max(...times))} ms`;
const tell = (what: string, measured: string, goal = ''): void => console.log(row(what, measured, goal));

/** How soon a follower has missed changes, and follows another member. */
async function measureReturns(three: EtcdCluster, rounds: number): Promise<void> {
  for (const missed of [1, 100, 1000]) {
    const times = await catchUp(three, rounds, missed, 0);
    tell(`a cut connection returns → ${missed} missed changes are there`, spread(times), '≤ 200 ms');
  }
  tell(
    'etcd returns after 5 s → 100 missed changes are there',
    spread(await catchUp(three, 5, 100, 5000)),
    'back-off ≤ 2 s',
  );
  for (const role of ['follower', 'leader'] as const) {
    const times = await leaveStopped(three, Math.min(rounds, 5), role);
    tell(`the followed member, a ${role}, is stopped → another one is followed`, spread(times), '≤ 3 s');
  }
}

/** How long a large tree takes to list, and the memory for it. */
async function measureListing(three: EtcdCluster): Promise<void> {
  await fillEtcd(three.endpoints, Array.from({ length: listed }, (_, i) => [`${root}instances/web-${i % 100}/i-${i}`, instance(i)] as const)); // biome-ignore format: a call
  const lists: { ms: number; growth: number; kept: number }[] = [];
  for (let round = 0; round < 5; round += 1) {
    const lister = startChild('follow', three);
    const ready = await lister.hear('ready');
    const done = await lister.hear('listed');
    const after = await lister.measure();
    lists.push({ ms: done.ms - ready.ms, growth: done.peakMb - ready.rssMb, kept: after.rssMb - ready.rssMb });
    await lister.close();
  }
  const growth = `${ms(Math.max(...lists.map((list) => list.growth)))} MB at the peak, ${ms(Math.max(...lists.map((list) => list.kept)))} MB afterwards`; // biome-ignore format: a text
  tell(`${listed} keys are listed (a new process)`, spread(lists.map((list) => list.ms)), '≤ 2 s');
  tell(`memory that this adds`, growth, 'bounded');
}

/** The memory that many events leave behind. */
async function measureEvents(): Promise<void> {
  const one = await startEtcd(1);
  const follower = startChild('follow', one);
  await follower.hear('connected');
  const churn = async (count: number) => {
    await fillEtcd(one.endpoints, Array.from({ length: count }, (_, i) => [`${root}instances/web/${i % 1000}`, instance(i)] as const)); // biome-ignore format: a call
  };
  const measured = async (count: number) => {
    const word = await until('it has them', async () => {
      const now = await follower.measure();
      return now.count >= count ? now : undefined;
    }, { deadlineMs: 60_000, everyMs: 50 }); // biome-ignore format: a call
    return word;
  };
  await churn(20_000); // warm
  const before = await measured(20_000);
  const began = performance.now();
  await churn(events);
  const after = await measured(20_000 + events);
  const rate = Math.round((events / (performance.now() - began)) * 1000);
  tell(`${events} events, ${rate} a second, then a collection: memory before → after`, `heap ${ms(before.heapMb)} → ${ms(after.heapMb)} MB, RSS ${ms(before.rssMb)} → ${ms(after.rssMb)} MB`, 'no growth'); // biome-ignore format: a call
  await follower.close();
  await one.close();
}

/** The cost of many registrations in one process. */
async function measureHolding(): Promise<void> {
  const single = await startEtcd(1);
  const pid = single.members[0]?.pid() ?? 0;
  const watcher = follow(single.endpoints);
  const holder = startChild('hold', single);
  const ready = await holder.hear('ready');
  const all = await holder.hear('held');
  tell(`${held} registrations by one process, one etcd member: until all stand`, `${ms(all.ms - ready.ms)} ms`);
  const [etcdBefore, ownBefore, revision] = [cpuMs(pid), cpuMs(holder.pid), watcher.state.revision];
  await pause(3 * ttlMs);
  const share = (used: number) => `${((used / (3 * ttlMs)) * 100).toFixed(1)} %`;
  tell('CPU to hold them, of one core, over three TTLs of 10 s', `etcd ${share(cpuMs(pid) - etcdBefore)}, the process ${share(cpuMs(holder.pid) - ownBefore)}`); // biome-ignore format: a call
  await until('the watcher is up to date', () => watcher.state.revision >= revision);
  tell('registrations lost meanwhile', watcher.state.revision === revision ? '0' : 'some', '0');
  const memory = await holder.measure();
  tell('memory of the process', `RSS ${ms(memory.rssMb)} MB (${ms(ready.rssMb)} MB before)`);
  const lease = (await single.ctl('lease', 'list')).split('\n')[1] ?? '';
  await single.ctl('lease', 'revoke', lease);
  const revoked = performance.now();
  await holder.hear('restored');
  tell(
    'their lease is revoked → all stand again (found by the next keep-alive)',
    `${ms(performance.now() - revoked)} ms`,
  );
  await watcher.close();
  await holder.close();
  await single.close();
}

async function main(rounds: number): Promise<void> {
  const etcdVersion = /etcd Version: (\S+)/.exec(execFileSync('etcd', ['--version']).toString())?.[1];
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD']).toString().trim();
  console.log('# The registry in etcd\n');
  console.log(
    `${cpus().length} cores (${cpus()[0]?.model}), Node ${process.version}, etcd ${etcdVersion}, commit ${commit}.`,
  );
  console.log(`Three members on loopback unless it says one. Times: the median of ${rounds} rounds, and the most.\n`);
  console.log(row('', 'measured', 'goal'));
  console.log(row('---', '---', '---'));

  const three = await startEtcd(3);
  await measureReturns(three, rounds);
  await measureListing(three);
  await three.close();
  await measureEvents();
  await measureHolding();
}

const [role = '20', endpoints] = process.argv.slice(2);
await (endpoints === undefined ? main(Number(role)) : child(role, endpoints.split(',')));
