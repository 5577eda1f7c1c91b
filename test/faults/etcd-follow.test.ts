import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { fillEtcd } from '../support/etcd-fill.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

describe('a follower of a three-member etcd', () => {
  let etcd: EtcdCluster;
  let proxies: TcpProxy[];
  let root = '';
  let roots = 0;
  let writer: Registry;
  let follower: Registry;
  let recorder: Recorder;

  beforeAll(async () => {
    etcd = await startEtcd(3);
  });
  afterAll(() => etcd.close());
  beforeEach(async () => {
    roots += 1;
    root = `/faults-${roots}/`;
    proxies = await Promise.all(etcd.members.map(({ clientPort }) => startTcpProxy(clientPort)));
    writer = openEtcdRegistry({ endpoints: etcd.endpoints, root });
    follower = openEtcdRegistry({ endpoints: proxies.map(({ endpoint }) => endpoint), root });
  });
  afterEach(async () => {
    await recorder?.close();
    await follower.close();
    await writer.close();
    await Promise.all(proxies.map((proxy) => proxy.close()));
  });

  const follow = async (registry = follower) => {
    recorder = new Recorder(registry);
    await recorder.started();
    await until('it watches', () => recorder.events.some(({ kind }) => kind === 'connected'));
  };
  const connected = () => recorder.events.filter(({ kind }) => kind === 'connected').length;
  const histories = () => recorder.events.flatMap((event) => (event.kind === 'snapshot' ? [event.history.kind] : []));
  const snapshots = () => histories().length;
  const write = async (count: number, from = 0): Promise<bigint> => {
    let last = 0n;
    for (let i = from; i < from + count; i += 100) {
      const some = Array.from({ length: Math.min(100, from + count - i) }, (_, j) => i + j);
      const revisions = await Promise.all(some.map((n) => writer.write(`instances/web/i-${n % 500}`, `value ${n}`)));
      for (const revision of revisions) if (revision > last) last = revision;
    }
    return last;
  };
  /**
   * The view is etcd's, nothing came out of order or twice, and there were `count` changes: a few more where the writer had
   * to ask another member, because what it asked the first one for may have been done, too.
   */
  const agrees = async (last: bigint, count = 0) => {
    await until(`it has revision ${last}`, () => recorder.revision >= last, { deadlineMs: 30_000 });
    const { entries } = await writer.read('');
    expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
    expect(recorder.violations).toEqual([]);
    expect(recorder.changes.length).toBeGreaterThanOrEqual(count);
  };

  test('loses nothing when its connection is cut again and again while thousands of events replay', async () => {
    await follow();
    for (const proxy of proxies) proxy.refuse(true);
    const last = await write(5000);
    for (const proxy of proxies) {
      proxy.refuse(false);
      proxy.cutAfter(20_000);
    }
    for (let cuts = 0; cuts < 8; cuts += 1) {
      const before = connected();
      for (const proxy of proxies) proxy.cutAfter(60_000 + cuts * 7919);
      await until('it comes back or is done', () => connected() > before || recorder.revision >= last);
    }
    for (const proxy of proxies) proxy.cutAfter(Number.POSITIVE_INFINITY);
    await agrees(last, 5000);
    expect(snapshots()).toBe(1);
  });

  test('loses nothing when it is cut several times in a row, before it was told anything new', async () => {
    const [proxy] = proxies;
    if (proxy === undefined) throw new Error('there are three');
    const single = openEtcdRegistry({ endpoints: [proxy.endpoint], root });
    try {
      await follow(single);
      proxy.refuse(true);
      const last = await write(3000);
      // In the middle of the events, then twice in what comes before the first of them, then in the middle again.
      proxy.cutAfter(30_000, 60, 200, 30_000, 400, 50_000);
      proxy.refuse(false);
      await agrees(last, 3000);
      expect(proxy.cutsLeft()).toBe(0);
      expect(snapshots()).toBe(1);
    } finally {
      await single.close();
    }
  });

  test('loses nothing when a replay is larger than 4 MB and longer than 1000 revisions', async () => {
    await follow();
    for (const proxy of proxies) proxy.refuse(true);
    const large = 'x'.repeat(8000);
    let last = 0n;
    for (let i = 0; i < 1200; i += 100) {
      const some = Array.from({ length: 100 }, (_, j) => writer.write(`keys/k-${i + j}`, large));
      for (const revision of await Promise.all(some)) if (revision > last) last = revision;
    }
    for (const proxy of proxies) proxy.refuse(false);
    await agrees(last, 1200);
    expect(snapshots()).toBe(1);
  });

  test('leaves a member that is stopped, and hears nothing old from it when it goes on', async () => {
    await follow();
    const at = recorder.events.findLast(({ kind }) => kind === 'connected');
    const proxied = proxies.findIndex(({ endpoint }) => at?.kind === 'connected' && at.member === endpoint);
    const member = etcd.members[proxied];
    const before = connected();
    member?.signal('SIGSTOP');
    try {
      const last = await write(200);
      await until('it follows another one', () => connected() > before, { deadlineMs: 15_000 });
      await agrees(last, 200);
    } finally {
      member?.signal('SIGCONT');
    }
    await etcd.healthy();
    await agrees(await write(50, 200), 250);
  });

  test('notices a connection that is black-holed', async () => {
    await follow();
    const before = connected();
    for (const proxy of proxies) proxy.blackHole(true);
    const last = await write(100);
    await until('it says so', () => recorder.events.at(-1)?.kind === 'disconnected', { deadlineMs: 15_000 });
    for (const proxy of proxies) proxy.blackHole(false);
    await until('it is back', () => connected() > before, { deadlineMs: 20_000 });
    await agrees(last, 100);
  });

  test('reads everything anew when the history it missed was compacted', async () => {
    await follow();
    for (const proxy of proxies) proxy.refuse(true);
    await write(300);
    await writer.remove('instances/web/i-7');
    await etcd.compact();
    const last = await write(10, 300);
    for (const proxy of proxies) proxy.refuse(false);
    await agrees(last);
    expect(snapshots()).toBe(2);
    expect(recorder.view.has('instances/web/i-7')).toBe(false);
  });

  test('misses no deletion at the very revision that was compacted', async () => {
    await writer.write('keys/gone', 'value');
    await follow();
    for (const proxy of proxies) proxy.refuse(true);
    const deleted = await writer.remove('keys/gone');
    await etcd.compact(deleted);
    for (const proxy of proxies) proxy.refuse(false);
    await agrees(await write(10));
    expect(recorder.view.has('keys/gone')).toBe(false);
  });

  test('notices a change that never came with the next one of that key, and reads everything anew', async () => {
    await writer.write('keys/changed', '1');
    await writer.write('keys/deleted', '1');
    await follow();
    const swallow = async (key: string, change: (key: string) => Promise<unknown>) => {
      for (const proxy of proxies) proxy.swallow(true);
      await change(key);
      await until('it is swallowed', () => proxies.some((proxy) => proxy.hasSwallowed(key)));
      for (const proxy of proxies) proxy.swallow(false);
    };
    await swallow('keys/changed', (key) => writer.write(key, '2'));
    await agrees(await writer.write('keys/changed', '3'));
    expect(snapshots()).toBe(2);
    await until('it watches again', () => connected() === 2);
    await swallow('keys/deleted', (key) => writer.remove(key));
    await swallow('keys/other', (key) => writer.write(key, '1'));
    await agrees(await writer.write('keys/deleted', '2'));
    expect(snapshots()).toBe(3);
    expect(recorder.view.has('keys/other')).toBe(true);
  });

  test('goes on after a moment in which nothing passed', async () => {
    await follow();
    for (const proxy of proxies) proxy.blackHole(true);
    const last = await write(100);
    for (const proxy of proxies) proxy.blackHole(false);
    await agrees(last, 100);
    await agrees(await write(100), 200);
  });

  test('finds the member that answers among some that refuse and some that swallow everything', async () => {
    const [refusing, swallowing, answering] = proxies;
    refusing?.refuse(true);
    swallowing?.blackHole(true);
    await follow();
    const at = recorder.events.find(({ kind }) => kind === 'connected');
    expect(at).toEqual({ kind: 'connected', member: answering?.endpoint });
    await agrees(await write(20), 20);
  });

  test('comes back when all members were away', async () => {
    await follow();
    await Promise.all(etcd.members.map((member) => member.stop()));
    await until('it says so', () => recorder.events.at(-1)?.kind === 'disconnected');
    for (const member of etcd.members) member.start();
    await etcd.healthy();
    await agrees(await write(50), 50);
  });

  test('goes on with a majority, and leaves a member that is cut off from it', async () => {
    await follow();
    const [one, two] = etcd.members;
    await Promise.all([one?.stop(), two?.stop()]);
    await until('it says so', () => recorder.events.at(-1)?.kind === 'disconnected', { deadlineMs: 20_000 });
    one?.start();
    two?.start();
    await etcd.healthy();
    await agrees(await write(50), 50);
  });

  test('begins anew with a cluster that has lost its data, whose revisions are lower', async () => {
    await follow();
    await write(200);
    await etcd.wipe();
    const last = await write(20);
    await until('it has the new data', () => recorder.view.size === 20, { deadlineMs: 20_000 });
    expect(recorder.revision).toBeGreaterThanOrEqual(last);
    expect(histories()).toEqual(['first', 'replaced']);
    // The cluster's id comes from its token and addresses, so it is the same, and only the revision tells.
    expect(recorder.violations).toEqual([expect.stringContaining('a snapshot went back to')]);
  });

  test('begins anew with a cluster that has lost its data and has written more than before since', async () => {
    const ids = (await etcd.ctl('member', 'list')).split('\n').map((line) => line.split(', ')[0] ?? '');
    // Each change of the leader is a term; to the one that leads already it is refused.
    for (const id of [...ids, ...ids]) await etcd.ctl('move-leader', id).catch(() => undefined);
    await follow();
    await write(100);
    for (const proxy of proxies) proxy.refuse(true);
    await etcd.wipe();
    let last = 0n;
    while (last <= recorder.revision) last = await write(50, 200);
    for (const proxy of proxies) proxy.refuse(false);
    await agrees(last);
    expect(recorder.view.size).toBe(50);
    expect(histories()).toEqual(['first', 'replaced']);
  });

  test('reads a list that takes longer than any call may, from members that are slow', async () => {
    await fillEtcd(
      etcd.endpoints,
      Array.from({ length: 1500 }, (_, i) => [`${root}keys/slow/${i}`, 'x'.repeat(500)] as const),
    );
    // A page of 850 kB in 2.8 s.
    for (const proxy of proxies) proxy.slow(300);
    recorder = new Recorder(follower);
    await until('it has read the list', () => recorder.view.size === 1500, { deadlineMs: 60_000 });
    for (const proxy of proxies) proxy.slow(Number.POSITIVE_INFINITY);
    await agrees(await write(20), 20);
  });

  test('can be closed while it reads a long list', async () => {
    await fillEtcd(
      etcd.endpoints,
      Array.from({ length: 1000 }, (_, i) => [`${root}keys/slow/${i}`, 'x'.repeat(1000)] as const),
    );
    // A page of 1 MB in 50 s.
    for (const proxy of proxies) proxy.slow(20);
    recorder = new Recorder(follower);
    await until('it is asked for the list', () => proxies.some((proxy) => proxy.taken() > 0));
    const asked = performance.now();
    await recorder.close();
    expect(performance.now() - asked).toBeLessThan(1000);
  });

  test('tells 50,000 keys whole while writes go on', { timeout: 120_000 }, async () => {
    await fillEtcd(
      etcd.endpoints,
      Array.from({ length: 50_000 }, (_, i) => [`${root}keys/bulk/${i}`, 'v'] as const),
    );
    const writing = write(1000);
    await follow();
    await agrees(await writing);
    expect(recorder.view.size).toBeGreaterThanOrEqual(50_500);
  });
});
