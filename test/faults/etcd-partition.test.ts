import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry, SessionEvent } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

const ttlMs = 5000;

describe('a member that is cut off from the others and still answers its clients', () => {
  let etcd: EtcdCluster;
  let roots = 0;
  let root = '';
  let opened: Registry[];

  beforeAll(async () => {
    etcd = await startEtcd(3, { partitions: true });
  });
  afterAll(() => etcd.close());
  beforeEach(() => {
    roots += 1;
    root = `/parted-${roots}/`;
    opened = [];
  });
  afterEach(async () => {
    await Promise.all(opened.map((registry) => registry.close()));
    etcd.isolate();
    await etcd.healthy();
  });

  /** With no shuffling: the first endpoint is the member that is used. */
  const open = (endpoints: readonly string[]): Registry => {
    const registry = openEtcdRegistry({ endpoints, root, random: () => 0.999 });
    opened.push(registry);
    return registry;
  };
  const parted = async (role: string) => {
    const leader = await etcd.leader();
    const member = etcd.members.find((one) => (one === leader) === (role === 'leader')) ?? leader;
    const others = etcd.members.filter((one) => one !== member).map(({ endpoint }) => endpoint);
    return { member, others };
  };

  test.each(['leader', 'follower'])('is left by who follows it, and nothing is missed: the %s', async (role) => {
    const { member, others } = await parted(role);
    const recorder = new Recorder(open([member.endpoint, ...others]));
    await until('it follows the member', () =>
      recorder.events.some((event) => event.kind === 'connected' && event.member === member.endpoint),
    );
    etcd.isolate(member);
    const writer = open(others);
    let last = 0n;
    for (let i = 0; i < 100; i += 1) {
      const signal = AbortSignal.timeout(20_000);
      last = await writer.write(`instances/web/i-${i % 20}`, `value ${i}`, { signal });
    }
    await until('it has left and has all', () => recorder.revision >= last, { deadlineMs: 20_000 });
    const { entries } = await writer.read('');
    expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value]).sort()));
    // A put of the first moments, while a new leader is chosen, may have been done twice.
    expect(recorder.changes.length).toBeGreaterThanOrEqual(100);
    expect(recorder.violations).toEqual([]);
    etcd.isolate();
    await etcd.healthy();
    await recorder.reached(await writer.write('keys/end', 'end'));
    expect(recorder.violations).toEqual([]);
  });

  test.each(['leader', 'follower'])('loses no registration: the %s', async (role) => {
    const { member, others } = await parted(role);
    const events: SessionEvent[] = [];
    const registry = open([member.endpoint, ...others]);
    const session = registry.openSession({ ttlMs, mayReplace: () => false, onEvent: (event) => events.push(event) });
    const majority = open(others);
    const recorder = new Recorder(majority);
    await session.put('instances/web/a', '10.0.0.1:80');
    await recorder.sees('instances/web/a', '10.0.0.1:80');
    etcd.isolate(member);
    // A whole TTL passes on the side of the others, told by a key that nobody renews.
    await majority.write('keys/clock', 'tick', { ttlMs, signal: AbortSignal.timeout(30_000) });
    await recorder.sees('keys/clock', 'tick', 30_000);
    await recorder.sees('keys/clock', undefined, 60_000);
    expect(recorder.values()).toEqual({ 'instances/web/a': '10.0.0.1:80' });
    expect(recorder.changes.filter((change) => change.includes('delete instances/'))).toEqual([]);
    expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    await session.close();
  });
});
