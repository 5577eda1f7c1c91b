import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry, Session, SessionEvent } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { type EtcdCluster, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

const ttlMs = 5000;
// Other test files run in this process, too.
const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;

describe('a registration in a three-member etcd', () => {
  let etcd: EtcdCluster;
  let registry: Registry;
  let session: Session;
  let recorder: Recorder;
  let events: SessionEvent[];
  let roots = 0;

  let before = 0;
  beforeAll(async () => {
    before = sockets();
    etcd = await startEtcd(3);
  });
  afterAll(() => etcd.close());
  beforeEach(async () => {
    roots += 1;
    events = [];
    registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: `/session-${roots}/` });
    session = registry.openSession({ ttlMs, mayReplace: () => false, onEvent: (event) => events.push(event) });
    recorder = new Recorder(registry);
    await recorder.started();
    await session.put('instances/web/a', '10.0.0.1:80');
    await recorder.sees('instances/web/a', '10.0.0.1:80');
  });
  afterEach(async () => {
    await session.close();
    await registry.close();
  });

  /** Waits a whole TTL and more, told by a key of our own that expires in that time. */
  const aTtlPasses = async () => {
    const clock = `overrides/clock-${events.length}-${recorder.events.length}`;
    await registry.write(clock, 'tick', { ttlMs, signal: AbortSignal.timeout(60_000) });
    await recorder.sees(clock, 'tick', 60_000);
    await recorder.sees(clock, undefined, 60_000);
  };
  const standsUntouched = () => {
    expect(recorder.values()['instances/web/a']).toBe('10.0.0.1:80');
    expect(recorder.changes.filter((change) => change.includes('delete instances/'))).toEqual([]);
    expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
    expect(recorder.violations).toEqual([]);
  };

  test('outlives a follower that hangs', { timeout: 90_000 }, async () => {
    const lead = await etcd.leader();
    const follower = etcd.members.find((member) => member !== lead);
    follower?.signal('SIGSTOP');
    try {
      await aTtlPasses();
    } finally {
      follower?.signal('SIGCONT');
    }
    standsUntouched();
  });

  test('outlives a leader that hangs', { timeout: 90_000 }, async () => {
    const lead = await etcd.leader();
    lead.signal('SIGSTOP');
    try {
      await aTtlPasses();
    } finally {
      lead.signal('SIGCONT');
    }
    await etcd.healthy();
    await aTtlPasses();
    await until('it stands', () => recorder.values()['instances/web/a'] === '10.0.0.1:80');
  });

  test('outlives a restart of all members that is shorter than its TTL', { timeout: 90_000 }, async () => {
    await Promise.all(etcd.members.map((member) => member.stop()));
    for (const member of etcd.members) member.start();
    await etcd.healthy();
    await aTtlPasses();
    standsUntouched();
  });

  test('is put again when its lease was revoked behind its back', { timeout: 60_000 }, async () => {
    const lease = events.find((event) => event.kind === 'granted');
    await etcd.ctl('lease', 'revoke', lease?.kind === 'granted' ? lease.lease : '');
    await until('it is restored', () => events.some(({ kind }) => kind === 'restored'), { deadlineMs: 20_000 });
    await recorder.sees('instances/web/a', '10.0.0.1:80');
    expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(2);
  });

  test('can be changed at once when its lease is gone and nobody has noticed yet', { timeout: 60_000 }, async () => {
    await session.put('instances/web/b', '10.0.0.2:80');
    const lease = events.find((event) => event.kind === 'granted');
    await etcd.ctl('lease', 'revoke', lease?.kind === 'granted' ? lease.lease : '');
    const changed = await session.put('instances/web/a', '10.0.0.1:81', AbortSignal.timeout(20_000));
    await recorder.reached(changed);
    expect(recorder.values()['instances/web/a']).toBe('10.0.0.1:81');
    await recorder.sees('instances/web/b', '10.0.0.2:80', 20_000);
    const put = await session.put('instances/web/c', '10.0.0.3:80');
    await recorder.reached(put);
    expect(Object.keys(recorder.values())).toEqual(['instances/web/a', 'instances/web/b', 'instances/web/c']);
    expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(2);
    expect(events.filter(({ kind }) => kind === 'restored')).toHaveLength(1);
  });

  test('is put again when it was deleted, and let go of when another one has it', { timeout: 60_000 }, async () => {
    await registry.remove('instances/web/a');
    await until('it is restored', () => events.some(({ kind }) => kind === 'restored'), { deadlineMs: 20_000 });
    await recorder.sees('instances/web/a', '10.0.0.1:80');
    await registry.write('instances/web/a', '10.0.0.9:80');
    await until('it is told', () => events.some(({ kind }) => kind === 'taken'), { deadlineMs: 20_000 });
    expect(events).toContainEqual({ kind: 'taken', key: 'instances/web/a', holder: '10.0.0.9:80' });
    expect(recorder.values()['instances/web/a']).toBe('10.0.0.9:80');
  });

  test('is put again when all members were away for longer than its TTL', { timeout: 60_000 }, async () => {
    await Promise.all(etcd.members.map((member) => member.stop()));
    await until('the session knows', () => events.some(({ kind }) => kind === 'unreachable'), { deadlineMs: 20_000 });
    await etcd.wipe();
    await until('it is restored', () => events.some(({ kind }) => kind === 'restored'), { deadlineMs: 30_000 });
    const { entries } = await registry.read('');
    expect(entries.map(({ key, value }) => `${key} ${value}`)).toEqual(['instances/web/a 10.0.0.1:80']);
    expect(events.filter(({ kind }) => kind === 'granted')).toHaveLength(2);
  });

  test('leaves no socket and no timer behind', async () => {
    await session.close();
    await registry.close();
    await until('nothing is left', () => {
      return sockets() <= before;
    });
  });
});
