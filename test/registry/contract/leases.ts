import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { type ContractTree, latest } from './tree.ts';

/** A session holds its keys for as long as it lives. */
export function leaseContract({ expired, follow, harness, open, openSession }: ContractTree): void {
  test('a session that closes takes all its keys with it', async () => {
    const recorder = await follow();
    const { session } = openSession({ ttlMs: 600_000 });
    await session.put('instances/web/web-1', '127.0.0.1:1');
    await session.put('instances/web/web-2', '127.0.0.1:2');
    await recorder.sees('instances/web/web-2', '127.0.0.1:2');
    await session.close();
    await recorder.sees('instances/web/web-1', undefined);
    await recorder.sees('instances/web/web-2', undefined);
    expect((await open().read('')).entries).toEqual([]);
  });

  test('the keys of a process that died vanish after their TTL, and those of a living one stay', async () => {
    const recorder = await follow();
    const dead = openSession({ ttlMs: harness.ttlMs });
    const living = openSession();
    await living.session.put('instances/web/living', '127.0.0.1:2');
    await dead.session.put('instances/web/dead-1', '127.0.0.1:1');
    const last = await dead.session.put('instances/web/dead-2', '127.0.0.1:1');
    await recorder.reached(last);
    // Closing a registry revokes nothing: to the others it looks like kill -9.
    await dead.registry.close();
    expect(Object.keys(recorder.values())).toHaveLength(3);
    await expired('the dead keys are gone', () => recorder.view.size === 1);
    expect(recorder.values()).toEqual({ 'instances/web/living': '127.0.0.1:2' });
    expect(living.events.map(({ kind }) => kind)).toEqual(['granted']);
  });

  test('a value written with a TTL of its own vanishes unless it is written again', async () => {
    const recorder = await follow();
    await open().write('overrides/web/web-1', 'drain', { ttlMs: harness.ttlMs });
    await recorder.sees('overrides/web/web-1', 'drain');
    expect(recorder.view.get('overrides/web/web-1')?.leased).toBe(true);
    await expired('the override is gone', () => recorder.view.size === 0);
  });

  test('once the first owner is dead and its lease is over, nobody has to be asked', async () => {
    const recorder = await follow();
    const first = openSession({ ttlMs: harness.ttlMs });
    await recorder.reached(await first.session.put('instances/web/web-1', '10.0.0.1:80'));
    await first.registry.close();
    await expired('the first lease is over', () => recorder.view.size === 0);
    await openSession().session.put('instances/web/web-1', '10.0.0.2:80');
    await recorder.sees('instances/web/web-1', '10.0.0.2:80');
  });

  test('one session holds many keys', async () => {
    const recorder = await follow();
    const { session } = openSession();
    const revisions = await Promise.all(
      Array.from({ length: 300 }, (_, index) => session.put(`instances/many/i-${index}`, `127.0.0.1:${index + 1}`)),
    );
    expect(new Set(revisions).size).toBe(300);
    await recorder.reached(latest(revisions));
    expect(recorder.view.size).toBe(300);
    await session.close();
    await until('all are gone', () => recorder.view.size === 0);
  });

  test('a session may change the value of its key', async () => {
    const recorder = await follow();
    const { session, events } = openSession();
    const first = await session.put('instances/web/web-1', 'ready');
    const second = await session.put('instances/web/web-1', 'draining');
    expect(second).toBeGreaterThan(first);
    await recorder.sees('instances/web/web-1', 'draining');
    expect(events.map(({ kind }) => kind)).toEqual(['granted']);
  });
}
