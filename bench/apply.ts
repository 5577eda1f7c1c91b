// A whole apply: how long it takes to read 1,000 policies and 10,000 keys from files and to compare them with etcd, to write them, and
// until three balancers have acknowledged them, next to a bare client that writes the same in transactions of etcd's size. Then one
// changed field among the 1,000 policies.
//
//   node scripts/bench.mjs apply [policies, 1000] [keys, 10000]
//   HAPROXY_BIN=/path/to/haproxy for another HAProxy
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { carryOut } from '../src/apply/carry-out.ts';
import { planApply } from '../src/apply/plan-apply.ts';
import { readForApply } from '../src/apply/read-for-apply.ts';
import type { Declared } from '../src/declarations/declared.ts';
import { readDeclarations } from '../src/declarations/read-declarations.ts';
import { awaitFleet, describeProgress, isReached } from '../src/fleet/await-fleet.ts';
import { Fleet } from '../src/fleet/fleet.ts';
import { parseSetName } from '../src/model/set-name.ts';
import { openEtcdRegistry } from '../src/registry/etcd/etcd-registry.ts';
import { openMember } from '../src/registry/etcd/member-client.ts';
import type { Registry } from '../src/registry/registry.ts';
import { ask } from '../test/support/ask.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { freePorts } from '../test/support/ports.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, row } from './quantiles.ts';
import { haproxyBin } from './ways.ts';

const root = '/pointsman/';
const waitMs = 120_000;
const longMs = 300_000;

/** One file a policy, as teams keep them, and the values of a hundred programs. */
async function writeFiles(folder: string, policies: number, keys: number, host = 'example.test'): Promise<void> {
  await mkdir(join(folder, 'services'), { recursive: true });
  await mkdir(join(folder, 'keys'), { recursive: true });
  for (let index = 0; index < policies; index += 1) {
    const own = index === 7 ? host : 'example.test';
    const text = `services:\n  s${index}:\n    hosts: [s${index}.${own}]\n    timeouts: {server: 20s}\n`;
    await writeFile(join(folder, 'services', `s${index}.yaml`), text);
  }
  for (let program = 0; program < 100; program += 1) {
    const values = Array.from({ length: keys / 100 }, (_, index) => `    k${index}: value ${index} of ${program}`);
    await writeFile(join(folder, 'keys', `p${program}.yaml`), `keys:\n  p${program}:\n${values.join('\n')}\n`);
  }
}

/** What no apply can be faster than: the same values in transactions of 128, one after the other. */
async function writeBare(endpoint: string, declared: readonly Declared[], prefix: string): Promise<number> {
  const client = await openMember({ address: endpoint }, {});
  const began = performance.now();
  for (let from = 0; from < declared.length; from += 128) {
    const success = declared.slice(from, from + 128).map(({ key, value }) => ({
      request_put: { key: Buffer.from(prefix + key), value: Buffer.from(value) },
    }));
    await client.kv.txn({ compare: [], success, failure: [] }, { deadline: Date.now() + waitMs });
  }
  const took = performance.now() - began;
  client.close();
  return took;
}

type Bench = { readonly registry: Registry; readonly folder: string; readonly admins: readonly number[] };

const parsed = parseSetName('bench');
if (!parsed.ok) throw new Error(parsed.reason);
const options = { set: parsed.value, prune: true, take: false, maxPrune: 20 };

async function compare({ registry, folder }: Bench) {
  const began = performance.now();
  const { declared } = await readDeclarations([folder]);
  const read = performance.now();
  const { listing } = await readForApply(registry, declared, options.set);
  const plan = planApply(declared, listing, options);
  return { declared, plan, filesMs: read - began, tookMs: performance.now() - began };
}

async function apply({ registry }: Bench, declared: readonly Declared[]) {
  const signal = AbortSignal.timeout(waitMs);
  const fleet = new Fleet(registry);
  await fleet.following(signal);
  const began = performance.now();
  const done = await carryOut({ registry, declared, options, random: Math.random, signal });
  const written = performance.now();
  const keys = new Set(done.plan.changes.map(({ key }) => key));
  const progress = await awaitFleet(fleet, { revision: done.revision, keys }, signal);
  if (!isReached(progress)) throw new Error(describeProgress(progress));
  const acknowledged = performance.now();
  await fleet.close();
  return { writtenMs: written - began, acknowledgedMs: acknowledged - written, transactions: done.transactions };
}

async function reloads({ admins }: Bench): Promise<number> {
  let sum = 0;
  for (const port of admins) {
    const { body } = await ask(port, 'localhost', '/metrics');
    for (const [, count = '0'] of body.matchAll(/^pointsman_reloads_total\{[^}]*\} (\d+)/gm)) sum += Number(count);
  }
  return sum;
}

async function main(policies: number, keys: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-bench-apply-'));
  const folder = join(dir, 'files');
  await writeFiles(folder, policies, keys);
  const etcd = await startEtcd(1);
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  // A service has an instance, so that HAProxy has all of them.
  for (let from = 0; from < policies; from += 100) {
    const some = Array.from({ length: Math.min(100, policies - from) }, (_, index) => from + index);
    await registry.transact({
      changes: some.map((index) => ({ key: `instances/s${index}/a`, value: '127.0.0.1:9', since: undefined })),
    });
  }
  const ports = await freePorts(6);
  const admins = ports.slice(3);
  const children = [0, 1, 2].map((index): ChildProcess => {
    const args = ['balance', '--registry', etcd.location, '--dir', join(dir, `b${index}`), '--id', `lb-${index}`];
    const listen = ['--http', `127.0.0.1:${ports[index]}`, '--admin', `127.0.0.1:${admins[index]}`];
    return spawn(
      join(process.cwd(), 'bin', 'pointsman'),
      [...args, ...listen, '--haproxy', haproxyBin, '--limit-services', '30000'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, POINTSMAN_LOG_LEVEL: 'error' },
      },
    );
  });
  const bench: Bench = { registry, folder, admins };
  try {
    for (const port of admins) {
      const ready = async () => (await ask(port, 'localhost', '/readyz').catch(() => ({ status: 0 }))).status === 200;
      await until('a balancer is ready', ready, { deadlineMs: longMs, everyMs: 100 });
    }
    const first = await compare(bench);
    const bareMs = await writeBare(etcd.endpoints[0] ?? '', first.declared, '/floor/');
    const applied = await apply(bench, first.declared);
    const again = await compare(bench);
    const nothing = await apply(bench, first.declared);
    await until('reloads have ended', async () => {
      const before = await reloads(bench);
      await new Promise((resolve) => setTimeout(resolve, 6000));
      return (await reloads(bench)) === before;
    }, { deadlineMs: longMs }); // biome-ignore format: a call
    const before = await reloads(bench);
    await writeFiles(folder, policies, keys, 'changed.test');
    const changed = await compare(bench);
    const one = await apply(bench, changed.declared);
    const writes = changed.plan.changes.filter(({ kind }) => kind === 'update').length;

    console.log(`# ${policies} policies and ${keys} keys from files\n`);
    console.log(`${await describeMachine(haproxyBin)}. One etcd member, three balancers.\n`);
    console.log(row('', 'time, ms', 'next to the floor'));
    console.log(row('---', '---', '---'));
    const ratio = (took: number) => `${(took / bareMs).toFixed(2)}`;
    console.log(row('floor: a bare client writes the same values', ms(bareMs), '1'));
    console.log(row('read the files', ms(first.filesMs), ratio(first.filesMs)));
    console.log(row('diff: files and etcd, everything is new', ms(first.tookMs), ratio(first.tookMs)));
    console.log(row('diff: nothing changed', ms(again.tookMs), ratio(again.tookMs)));
    console.log(
      row(`apply: everything, ${applied.transactions} transactions`, ms(applied.writtenMs), ratio(applied.writtenMs)),
    );
    console.log(
      row('then until three balancers have acknowledged', ms(applied.acknowledgedMs), ratio(applied.acknowledgedMs)),
    );
    console.log(row('apply: nothing changed', ms(nothing.writtenMs + nothing.acknowledgedMs), ''));
    console.log(row('apply: one host of one policy', ms(one.writtenMs), ''));
    console.log(row('then until three balancers have acknowledged', ms(one.acknowledgedMs), ''));
    const reloaded = (await reloads(bench)) - before;
    console.log(
      `\nOne changed host wrote ${writes} key in ${one.transactions} transaction, and caused ${reloaded} reloads.`,
    );
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('close', resolve))));
    await registry.close();
    await etcd.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const [policies = '1000', keys = '10000'] = process.argv.slice(2);
await main(Number(policies), Number(keys));
