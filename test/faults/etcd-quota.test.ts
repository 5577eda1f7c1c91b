import { expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { SessionEvent } from '../../src/registry/registry.ts';
import { startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

const root = '/pointsman/';

test('an etcd whose quota is used up is told as such, once, and comes back when an operator made room', {
  timeout: 120_000,
}, async () => {
  const etcd = await startEtcd(1, { args: ['--quota-backend-bytes', String(2 * 2 ** 20)] });
  onTestFinished(() => etcd.close());
  const registry = openEtcdRegistry({ endpoints: etcd.endpoints, root });
  onTestFinished(() => registry.close());
  const events: SessionEvent[] = [];
  const session = registry.openSession({
    ttlMs: 3000,
    mayReplace: () => false,
    onEvent: (event) => events.push(event),
  });
  await session.put('keys/held', 'ours');

  const large = 'x'.repeat(500_000);
  const short = () => AbortSignal.timeout(2000);
  await until('it is full', () =>
    registry.write('keys/large', large, { signal: short() }).then(
      () => false,
      (error: unknown) => {
        expect(error).toMatchObject({
          message: 'etcd accepts no writes: its quota is used up',
          hint: expect.stringContaining('alarm disarm'),
        });
        return true;
      },
    ),
  );
  const putting = session.put('keys/more', 'ours');
  await until('it is told', () => events.some(({ kind }) => kind === 'unreachable'));
  // Keep-alives are answered all the time, and those of some more seconds make nobody believe that it is well.
  const lease = events.find((event) => event.kind === 'granted')?.lease ?? '';
  const left = async () => Number(/remaining\((\d+)s\)/.exec(await etcd.ctl('lease', 'timetolive', lease))?.[1]);
  for (let i = 0; i < 3; i += 1) {
    await until('time passes', async () => (await left()) <= 1);
    await until('it is kept alive', async () => (await left()) >= 2);
  }
  expect(events.filter(({ kind }) => kind === 'reachable' || kind === 'unreachable')).toEqual([
    { kind: 'unreachable', reason: expect.stringContaining('its quota is used up (compact and defragment it') },
  ]);

  await registry.remove('keys/large');
  await etcd.compact();
  await etcd.ctl('defrag');
  await etcd.ctl('alarm', 'disarm');
  await putting;
  await until('it is well', () => events.at(-1)?.kind === 'reachable');
});
