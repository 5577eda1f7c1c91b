import { describe, expect, onTestFinished, test } from 'vitest';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import { Recorder } from '../registry/recorder.ts';
import { isNightly } from '../support/nightly.ts';
import { startPointsman } from '../support/processes.ts';
import { startRegistration } from '../support/registration.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const key = 'instances/web/a';

/** etcd behind a link with this round trip. */
async function start(roundTripMs: number) {
  const scenario = await startRegistration('etcd');
  const { etcd, recorder } = scenario;
  if (etcd === undefined) throw new Error('etcd was asked for');
  const proxy = await startTcpProxy(Number(etcd.endpoints[0]?.split(':')[1]));
  onTestFinished(() => proxy.close());
  proxy.delay(roundTripMs / 2);
  const leases = async () => (await etcd.ctl('lease', 'list')).split('\n').slice(1).filter(Boolean);
  const register = (ttl: string) =>
    startPointsman([
      ...['register', '--registry', `etcd://${proxy.endpoint}`, '--service', 'web', '--id', 'a'],
      ...['--address', '10.0.0.1:80', '--ttl', ttl],
    ]);
  /** As long as a lease of 5 s lives that nobody keeps alive. */
  const aTtlPasses = async () => {
    const clock = `keys/clock-${recorder.events.length}`;
    await scenario.registry.write(clock, 'tick', { ttlMs: 5000 });
    await recorder.sees(clock, 'tick');
    await recorder.sees(clock, undefined);
  };
  return { ...scenario, etcd, proxy, leases, register, aTtlPasses };
}

describe('through a link with a round trip of 1.1 s', () => {
  test.each(isNightly ? ['10s', '5s'] : ['10s'])(
    'an instance is announced, kept and withdrawn under one lease, with a TTL of %s',
    {
      timeout: 120_000,
    },
    async (ttl) => {
      const { register, recorder, leases, aTtlPasses, states } = await start(1100);
      const began = performance.now();
      const registration = register(ttl);
      await registration.logged('announced');
      const announcedMs = Math.round(performance.now() - began);
      const left = (await leases()).length - 1;
      process.stderr.write(`announced after ${announcedMs} ms, TTL ${ttl}, ${left} leases left behind\n`);
      expect(left).toBe(0);
      await recorder.sees(key, recorder.view.get(key)?.value);
      for (let i = 0; i < 3; i += 1) await aTtlPasses();
      expect(states()).toEqual(['ready']);
      expect(await leases()).toHaveLength(1);
      registration.kill('SIGTERM');
      expect((await registration.ended).code).toBe(0);
      await recorder.sees(key, undefined);
      expect(states()).toEqual(['ready', 'draining', 'deleted']);
      expect(await leases()).toEqual([]);
    },
  );

  test('a follower sees changes, and is not disconnected by silence', { timeout: 90_000 }, async () => {
    const { proxy, registry, aTtlPasses } = await start(1100);
    const slow = openEtcdRegistry({ endpoints: [proxy.endpoint], root: '/pointsman/' });
    onTestFinished(() => slow.close());
    const recorder = new Recorder(slow);
    await recorder.started();
    const disconnections = () => recorder.events.filter(({ kind }) => kind === 'disconnected').length;
    await recorder.reached(await registry.write('keys/one', '1'));
    // Longer than it takes to doubt a silent member.
    await aTtlPasses();
    const before = disconnections();
    for (let i = 0; i < 3; i += 1) await aTtlPasses();
    expect(disconnections()).toBe(before);
    await recorder.reached(await registry.write('keys/two', '2'));
    expect(recorder.violations).toEqual([]);
  });

  test('a value with a TTL is written once, under one lease', async () => {
    const { proxy, leases } = await start(1100);
    const slow = openEtcdRegistry({ endpoints: [proxy.endpoint], root: '/pointsman/' });
    onTestFinished(() => slow.close());
    await slow.write('keys/one', '1', { ttlMs: 60_000, signal: AbortSignal.timeout(30_000) });
    expect(await leases()).toHaveLength(1);
  });
});

test('an instance leaves through a link that was slow and is quick again', { timeout: 60_000 }, async () => {
  const { proxy, register, recorder, leases } = await start(2500);
  const registration = register('10s');
  await registration.logged('announced');
  // The first attempt was heard, though its answer came too late.
  expect(await leases()).toHaveLength(1);
  proxy.delay(0);
  registration.kill('SIGTERM');
  expect((await registration.ended).code).toBe(0);
  await recorder.sees(key, undefined);
  await until('no lease is left', async () => (await leases()).length === 0);
});
