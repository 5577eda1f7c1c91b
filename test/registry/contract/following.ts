import { expect, test } from 'vitest';
import { createdAt } from '../../../src/registry/registry.ts';
import type { ContractTree } from './tree.ts';

/** A follower gets the tree, and then each change. */
export function followingContract({ follow, open, openSession, store }: ContractTree): void {
  test('a follower gets what is there, and then every change', async () => {
    const writer = open();
    await writer.write('instances/web/web-1', '127.0.0.1:1');
    await writer.write('services/web', '{}');
    const recorder = await follow();
    expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:1', 'services/web': '{}' });

    await writer.write('instances/web/web-2', '127.0.0.1:2');
    await writer.write('instances/web/web-1', '127.0.0.1:3');
    const last = await writer.remove('services/web');
    await recorder.reached(last ?? 0n);
    expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:3', 'instances/web/web-2': '127.0.0.1:2' });
    expect(recorder.changes.map((change) => change.replace(/^\d+ /, ''))).toEqual([
      'put instances/web/web-2=127.0.0.1:2',
      'put instances/web/web-1=127.0.0.1:3',
      'delete services/web',
    ]);
  });

  test('every follower learns when a key was created, and that it was created again', async () => {
    const writer = open();
    const early = await follow();
    const first = await writer.write('services/web', '{}');
    const api = await writer.write('services/api', '{}');
    await writer.remove('services/api');
    const again = await writer.write('services/api', '{}');
    const last = await writer.write('services/web', '{"maxconn":1}');
    await early.reached(last);
    const late = await follow();
    const { entries } = await open().read('services/');
    for (const known of [early.view.values(), late.view.values(), entries]) {
      const created = [...known].map((entry) => [entry.key, createdAt(entry)]).sort();
      expect(created).toEqual([
        ['services/api', again],
        ['services/web', first],
      ]);
    }
    expect(api).toBeLessThan(again);
  });

  test('an empty tree is a snapshot too', async () => {
    const recorder = await follow();
    expect(recorder.events.filter(({ kind }) => kind === 'snapshot')).toHaveLength(1);
    expect(recorder.values()).toEqual({});
  });

  test('a put resolves with the revision under which every follower sees it', async () => {
    const one = await follow();
    const other = await follow();
    const { session } = openSession();
    const put = await session.put('instances/web/web-1', '127.0.0.1:1');
    await one.reached(put);
    await other.reached(put);
    expect(one.view.get('instances/web/web-1')?.revision).toBe(put);
    expect(other.view.get('instances/web/web-1')).toEqual({
      key: 'instances/web/web-1',
      value: '127.0.0.1:1',
      revision: put,
      leased: true,
      lease: expect.any(String),
    });
    const removed = await session.remove('instances/web/web-1');
    expect(removed).toBeGreaterThan(put);
    await one.reached(removed ?? 0n);
    expect(one.changes.at(-1)).toBe(`${removed} delete instances/web/web-1`);
  });

  test('a key written by hand a moment ago, while nobody followed, is not overlooked', async () => {
    await store().writeByHand('instances/web/w1', '127.0.0.1:9001');
    await expect(openSession().session.put('instances/web/w1', '127.0.0.1:1')).rejects.toMatchObject({
      code: 'key-owned',
    });
    expect((await open().read('instances/')).entries.map(({ value }) => value)).toEqual(['127.0.0.1:9001']);
  });
}
