import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { openMember } from '../../src/registry/etcd/member-client.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { openPast } from '../support/etcd-past.ts';
import { isNightly } from '../support/nightly.ts';
import { randomFrom } from '../support/random.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const faultMs = Number(process.env['FAULT_MS'] ?? (isNightly ? 20_000 : 10_000));
/** How many views are compared with etcd's own before each compaction and at the end. */
const sampled = 150;

test('whatever is cut, stopped and compacted, each view of a follower is one that etcd had', {
  timeout: faultMs + 120_000,
}, async () => {
  const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`FAULT_SEED=${seed}\n`);
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

  const etcd = await startEtcd(3);
  onTestFinished(() => etcd.close());
  const proxies = await Promise.all(etcd.members.map(({ clientPort }) => startTcpProxy(clientPort)));
  onTestFinished(async () => {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });
  const root = '/random/';
  const writer = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  const reader = openEtcdRegistry({ endpoints: proxies.map(({ endpoint }) => endpoint), root, random });
  const past = openPast(etcd.endpoints, root);
  onTestFinished(async () => {
    past.close();
    await writer.close();
    await reader.close();
  });
  /** The view after each event that changed it, as text. */
  const views = new Map<bigint, string>();
  const recorder = new Recorder(reader, undefined, ({ kind }) => {
    if (kind === 'snapshot' || kind === 'changes') views.set(recorder.revision, JSON.stringify(recorder.values()));
  });
  await recorder.started();
  const started = performance.now();
  const faults: string[] = [];
  onTestFailed(() => {
    process.stderr.write(`FAULT_SEED=${seed}\n${faults.join('\n')}\n--- the follower heard\n${recorder.story()}\n`);
  });

  const ends = started + faultMs;
  const key = () => `instances/web/i-${Math.floor(random() * 40)}`;
  const write = async () => {
    while (performance.now() < ends) {
      // A write that fails may have been done all the same: only etcd knows, and is asked in the end.
      const signal = AbortSignal.timeout(15_000);
      await (random() < 0.3 ? writer.remove(key(), signal) : writer.write(key(), `${random()}`, { signal })).catch(
        () => undefined,
      );
    }
  };
  /** Puts and deletes several keys at one revision. */
  const writeTogether = async () => {
    while (performance.now() < ends) {
      const client = await openMember({ address: pick(etcd.endpoints) }, {});
      const value = Buffer.from(`${random()}`);
      const changes = [...new Set([key(), key(), key(), key()])].map((name) => {
        const at = { key: Buffer.from(root + name) };
        return random() < 0.3 ? { request_delete_range: at } : { request_put: { ...at, value } };
      });
      await client.kv.txn({ compare: [], success: changes, failure: [] }).catch(() => undefined);
      client.close();
      await pause(random() * 20);
    }
  };

  let compacted = 0n;
  let compared = 0;
  /** Compares views with what etcd says it had at their revisions; those of before the last compaction are gone. */
  const compare = async () => {
    const known = [...views].filter(([revision]) => revision > compacted);
    const step = Math.max(1, known.length / sampled);
    for (let i = known.length - 1; i >= 0; i -= step) {
      const [revision, view] = known[Math.floor(i)] ?? [0n, ''];
      const truth = await past.read(revision);
      if (truth === undefined) continue;
      expect(JSON.parse(view), `the view of revision ${revision}`).toEqual(truth);
      compared += 1;
    }
  };

  const disturb = async () => {
    while (performance.now() < ends) {
      const proxy = pick(proxies);
      const member = pick(etcd.members);
      const fault = pick(['cut', 'cut-after', 'refuse', 'black-hole', 'stop', 'stop-two', 'kill', 'compact']);
      const at = Math.round(performance.now() - started);
      faults.push(`${at} ms: ${fault} (${proxy.endpoint}, ${member.name} at ${member.endpoint})`);
      switch (fault) {
        case 'cut':
          proxy.cut();
          break;
        case 'cut-after':
          proxy.cutAfter(Math.floor(random() * 20_000));
          break;
        case 'refuse':
          proxy.refuse(true);
          await pause(random() * 500);
          proxy.refuse(false);
          break;
        case 'black-hole':
          proxy.blackHole(true);
          await pause(random() * 3000);
          proxy.blackHole(false);
          break;
        case 'stop':
          member.signal('SIGSTOP');
          await pause(random() * 3000);
          member.signal('SIGCONT');
          break;
        case 'stop-two': {
          const others = etcd.members.filter((one) => one !== member);
          for (const one of others) one.signal('SIGSTOP');
          await pause(random() * 2000);
          for (const one of others) one.signal('SIGCONT');
          break;
        }
        case 'kill':
          await member.stop();
          await pause(random() * 500);
          member.start();
          break;
        case 'compact': {
          await compare();
          // Never at the newest revision: 3.4 may forget that one when it is a deletion and the member is killed just
          // then (etcd-io/etcd#17780), after which its members disagree. Before a put of ours, any may be compacted.
          const mark = await writer
            .write('keys/mark', `${at}`, { signal: AbortSignal.timeout(15_000) })
            .catch(() => 0n);
          if (mark > 1n) compacted = await etcd.compact(mark - 1n).catch(() => compacted);
          break;
        }
      }
      await pause(random() * 400);
    }
  };
  await Promise.all([write(), write(), writeTogether(), disturb()]);
  for (const proxy of proxies) proxy.cutAfter(Number.POSITIVE_INFINITY);
  await etcd.healthy();
  const last = await writer.write('keys/end', 'end', { signal: AbortSignal.timeout(20_000) });
  await until('the follower has the end', () => recorder.revision >= last, { deadlineMs: 30_000 });
  const { entries } = await writer.read('');
  expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
  await compare();
  process.stderr.write(`${recorder.changes.length} changes, ${faults.length} faults, ${compared} views compared\n`);
  expect(recorder.violations).toEqual([]);
  expect(compared).toBeGreaterThan(0);
  await recorder.close();
});
