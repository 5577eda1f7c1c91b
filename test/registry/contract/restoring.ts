import { expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { type ContractTree, latest } from './tree.ts';

/** A session restores its keys, and leaves none behind. */
export function restoringContract({ expired, follow, harness, open, openSession, store }: ContractTree): void {
  test('a change and a deletion by hand are seen, in order with the others', async () => {
    const recorder = await follow();
    await store().writeByHand('keys/colour', 'blue');
    await recorder.sees('keys/colour', 'blue');
    await store().writeByHand('keys/colour', 'red');
    await recorder.sees('keys/colour', 'red');
    await open().write('keys/colour', 'green');
    await recorder.sees('keys/colour', 'green');
    await store().deleteByHand('keys/colour');
    await recorder.sees('keys/colour', undefined);
    const other = await follow();
    expect(other.revision).toBeGreaterThanOrEqual(recorder.revision);
    expect(other.values()).toEqual({});
  });

  test('a key of a living session that was deleted by hand is restored', async () => {
    const recorder = await follow();
    const { session, events } = openSession({ ttlMs: harness.ttlMs });
    await session.put('instances/web/web-1', '127.0.0.1:1');
    const at = await session.put('instances/web/web-2', '127.0.0.1:2');
    await recorder.reached(at);
    await store().deleteByHand('instances/web/web-1');
    await expired('the key is restored', () => events.some(({ kind }) => kind === 'restored'));
    expect(events).toContainEqual(expect.objectContaining({ kind: 'restored', key: 'instances/web/web-1' }));
    await expired('the follower saw both', () => recorder.revision >= at + 2n);
    expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:1', 'instances/web/web-2': '127.0.0.1:2' });
    expect(recorder.view.get('instances/web/web-1')?.leased).toBe(true);
  });

  test('what a session removed itself is not restored', async () => {
    const recorder = await follow();
    const { session, events } = openSession();
    await session.put('instances/web/web-1', '127.0.0.1:1');
    const removed = await session.remove('instances/web/web-1');
    const other = await session.put('instances/web/web-2', '127.0.0.1:2');
    expect(other).toBeGreaterThan(removed ?? other);
    await recorder.reached(other);
    expect(recorder.values()).toEqual({ 'instances/web/web-2': '127.0.0.1:2' });
    expect(events.map(({ kind }) => kind)).toEqual(['granted']);
  });

  test('an aborted put gives up, and a closed session holds nothing', async () => {
    const { session, registry } = openSession();
    await expect(session.put('keys/a', '1', AbortSignal.abort())).rejects.toThrow();
    await session.close();
    await session.close();
    expect((await registry.read('')).entries).toEqual([]);
  });

  test('a put that is overtaken by the close of its session leaves nothing behind', async () => {
    const recorder = await follow();
    const { session } = openSession({ ttlMs: 600_000 });
    const puts = Array.from({ length: 20 }, (_, n) => session.put(`keys/k-${n}`, 'value').catch(() => 0n));
    await puts[0];
    await session.close();
    await recorder.reached(latest(await Promise.all(puts)));
    await until('all are gone', () => recorder.view.size === 0);
    expect((await open().read('')).entries).toEqual([]);
  });
}
