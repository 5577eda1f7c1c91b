// Many keys deleted in one revision: how long a follower that starts takes to list them, how long etcd takes to delete them
// and the follower to have none, and what it costs both.
//
//   node scripts/bench.mjs mass-deletion [keys, 50000,1000000]
//   ETCD_ROOT names a folder with another etcd, as scripts/debian-root prints one
import { setTimeout as pause } from 'node:timers/promises';
import { openMember } from '../src/registry/etcd/member-client.ts';
import { startEtcd } from '../test/support/etcd.ts';
import { fillEtcd } from '../test/support/etcd-fill.ts';
import { memoryOf } from '../test/support/proc.ts';
import { until } from '../test/support/until.ts';
import { describeMachine } from './machine.ts';
import { ms, row } from './quantiles.ts';
import { child, cpuMs, instance, root, startChild } from './registry-child.ts';

const restMs = 10_000;
const longMs = 300_000;
// How many entries this process holds at once while it fills etcd.
const together = 100_000;

/** The figures of one deletion, in the order of the table. */
async function measure(count: number): Promise<readonly string[]> {
  const etcd = await startEtcd(1, { args: ['--quota-backend-bytes', String(8 * 2 ** 30)] });
  const pid = etcd.members[0]?.pid() ?? 0;
  for (let from = 0; from < count; from += together) {
    const length = Math.min(together, count - from);
    const entries = Array.from({ length }, (_, i) => {
      return [`${root}instances/web-${(from + i) % 500}/i-${from + i}`, instance(from + i)] as const;
    });
    await fillEtcd(etcd.endpoints, entries);
  }

  const [filledMb, filledCpu] = [memoryOf(pid), cpuMs(pid)];
  const follower = startChild('follow', etcd);
  const ready = await follower.hear('ready');
  const listed = await follower.hear('listed');
  await follower.hear('connected');
  const listCpu = cpuMs(pid) - filledCpu;
  const before = await follower.measure();

  const client = await openMember({ address: etcd.endpoints[0] ?? '' }, {});
  const [asked, askedCpu] = [performance.now(), cpuMs(pid)];
  const range_end = Buffer.from(root.replace(/.$/, '0'));
  // etcd says "request timed out" after 7 s and goes on: it is done when it counts none.
  const error = await client.kv
    .deleteRange({ key: Buffer.from(root), range_end }, { deadline: Date.now() + longMs })
    .then(() => undefined, String);
  await until('etcd has deleted them', async () => {
    const { count } = await client.kv.range({ key: Buffer.from(root), range_end, count_only: true }, { deadline: Date.now() + longMs }); // biome-ignore format: a call
    return count === '0';
  }, { deadlineMs: longMs, everyMs: 50 }); // biome-ignore format: a call
  const deletedMs = performance.now() - asked;
  if (error !== undefined) console.error(`${count} keys: etcd said ${error}`);
  await follower.hear('empty');
  const emptyMs = performance.now() - asked;
  const deleteCpu = cpuMs(pid) - askedCpu;
  const after = await follower.measure();
  client.close();

  const restCpu = cpuMs(pid);
  await pause(restMs);
  const restShare = (cpuMs(pid) - restCpu) / restMs;
  const etcdMb = memoryOf(pid);
  await follower.close();
  await etcd.close();
  return [
    `${ms(listed.ms - ready.ms)} ms`,
    `${ms(listCpu)} ms`,
    `${ms(deletedMs)} ms`,
    `${ms(emptyMs)} ms`,
    `${ms(deleteCpu)} ms`,
    `${(restShare * 100).toFixed(1)} %`,
    `${ms(ready.rssMb)} MB`,
    `${ms(before.rssMb)} MB, most ${ms(before.peakMb)} MB`,
    `${ms(after.rssMb)} MB, most ${ms(after.peakMb)} MB`,
    `heap ${ms(before.heapMb)} → ${ms(after.heapMb)} MB`,
    `${ms(filledMb)} → ${ms(etcdMb)} MB`,
  ];
}

const names = [
  'a follower that starts has them',
  "etcd's CPU time for this list",
  'delete → etcd has none',
  'delete → the follower has none',
  "etcd's CPU time from the delete until then",
  "etcd's CPU afterwards, of one core, over 10 s",
  "the follower's RSS before the list",
  'RSS with all keys',
  'RSS after the delete',
  "the follower's heap after a collection, with all → with none",
  "etcd's RSS, filled → at the end",
];

async function main(counts: readonly number[]): Promise<void> {
  console.log('# Many keys deleted in one revision\n');
  console.log(`${await describeMachine()}. One etcd member; the follower is a process of its own.\n`);
  const columns: (readonly string[])[] = [];
  for (const count of counts) columns.push(await measure(count));
  console.log(row('', ...counts.map((count) => `${count} keys`)));
  console.log(row('---', ...counts.map(() => '---')));
  for (const [i, name] of names.entries()) console.log(row(name, ...columns.map((column) => column[i] ?? '')));
}

const [role = '50000,1000000', endpoints] = process.argv.slice(2);
await (endpoints === undefined ? main(role.split(',').map(Number)) : child(role, endpoints.split(',')));
