import { expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { SessionEvent } from '../../src/registry/registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { startEtcd } from '../support/etcd.ts';
import { isNightly } from '../support/nightly.ts';
import { until } from '../support/until.ts';

const count = isNightly ? 10_000 : 3000;

test(`${count} keys of one session stand, come back when their lease is lost, and leave together`, {
  timeout: 400_000,
}, async () => {
  const etcd = await startEtcd();
  onTestFinished(() => etcd.close());
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root: '/many/' });
  onTestFinished(() => registry.close());
  const events: SessionEvent[] = [];
  const of = (kind: SessionEvent['kind']) => events.filter((event) => event.kind === kind);
  // Putting them all again takes longer than this on a slow machine: the lease has to be kept alive meanwhile.
  const session = registry.openSession({
    ttlMs: 3000,
    mayReplace: () => false,
    onEvent: (event) => events.push(event),
  });
  const recorder = new Recorder(registry);
  await recorder.started();

  const keys = Array.from({ length: count }, (_, i) => `instances/web-${i % 100}/i-${i}`);
  await Promise.all(keys.map((key) => session.put(key, '10.0.0.1:80')));
  await until('the follower has them', () => recorder.view.size === count, { deadlineMs: 60_000 });

  const [granted] = of('granted');
  // A machine that was too slow to keep it alive has lost it already, which is as good.
  await etcd.ctl('lease', 'revoke', granted?.kind === 'granted' ? granted.lease : '').catch(() => undefined);
  await until('all are restored', () => of('restored').length >= count, { deadlineMs: 200_000 });
  await until('the follower has them again', () => recorder.view.size === count, { deadlineMs: 60_000 });
  expect(of('granted').length).toBeGreaterThanOrEqual(2);

  await session.close();
  await until('the follower has seen them leave', () => recorder.view.size === 0, { deadlineMs: 60_000 });
  expect((await registry.read('')).entries).toEqual([]);
  expect(recorder.violations).toEqual([]);
});
