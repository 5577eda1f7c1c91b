import { expect, test } from 'vitest';
import { type GuardedChange, keysFrom, type Registry, transactionLimits } from '../../../src/registry/registry.ts';
import type { ContractTree } from './tree.ts';

const valuesOf = async (registry: Registry) =>
  Object.fromEntries((await registry.read('')).entries.map(({ key, value }) => [key, value]));

/** Several changes at once, guarded by what their writer has read. */
export function transactionContract({ follow, open, store }: ContractTree): void {
  const created = (key: string, value: string): GuardedChange => ({ key, value, since: undefined });
  const free = (...changes: readonly GuardedChange[]) => ({ changes });

  test('a transaction makes all of its changes in one revision', async () => {
    const writer = open();
    const old = await writer.write('services/old', '{"hosts":["a.test"]}');
    const recorder = await follow();
    const result = await writer.transact(
      free(created('services/new', '{"hosts":["a.test"]}'), { key: 'services/old', value: undefined, since: old }),
    );
    expect(result.kind).toBe('done');
    const revision = result.kind === 'done' ? result.revision : old;
    await recorder.reached(revision);
    expect([...recorder.changes].sort()).toEqual([
      `${revision} delete services/old`,
      `${revision} put services/new={"hosts":["a.test"]}`,
    ]);
    expect(await valuesOf(open())).toEqual({ 'services/new': '{"hosts":["a.test"]}' });
  });

  test('a transaction changes nothing when somebody else has changed one of its keys, and names the key', async () => {
    const writer = open();
    const first = await writer.write('services/a', '1');
    const second = await writer.write('services/b', '1');
    await store().writeByHand('services/b', 'by hand');
    await writer.read('');
    const change = { key: 'services/a', value: '2', since: first };
    expect(await writer.transact(free(change, { key: 'services/b', value: '2', since: second }))).toEqual({
      kind: 'changed',
      keys: ['services/b'],
    });
    expect(await writer.transact(free(change, created('services/b', '2')))).toMatchObject({ keys: ['services/b'] });
    const gone = { key: 'services/c', value: '2', since: second };
    expect(await writer.transact(free(change, gone))).toMatchObject({ keys: ['services/c'] });
    expect(await valuesOf(open())).toEqual({ 'services/a': '1', 'services/b': 'by hand' });
  });

  test('a transaction changes nothing when a key was written in a range that has to be unwritten', async () => {
    const writer = open();
    await writer.write('sets/a/1', '1');
    const { revision } = await writer.read('sets/');
    const guarded = (key: string, since = revision) => ({
      changes: [created(key, '1')],
      unwritten: { ranges: [keysFrom('claims/'), keysFrom('sets/')], since },
    });
    await writer.write('setsother', 'not below');
    expect(await writer.transact(guarded('services/a'))).toMatchObject({ kind: 'done' });
    await writer.write('sets/b/1', '1');
    expect(await writer.transact(guarded('services/b'))).toEqual({ kind: 'changed', keys: ['sets/b/1'] });
    const { revision: now } = await writer.read('sets/');
    expect(await writer.transact(guarded('services/b', now))).toMatchObject({ kind: 'done' });
    expect(
      await writer.transact({ ...guarded('services/c'), unwritten: { ranges: [keysFrom('waits/')], since: now } }),
    ).toMatchObject({ kind: 'done' });
    expect(Object.keys(await valuesOf(open())).sort()).toEqual([
      ...['services/a', 'services/b', 'services/c', 'sets/a/1', 'sets/b/1', 'setsother'],
    ]);
  });

  test('a transaction takes as many changes as the limits say', async () => {
    const keys = Array.from({ length: transactionLimits.operations - 1 }, (_, index) => `keys/some/${index}`);
    const unwritten = { ranges: [keysFrom('sets/')], since: (await open().read('')).revision };
    const changes = keys.map((key) => created(key, 'x'.repeat(9000)));
    expect(await open().transact({ changes, unwritten })).toMatchObject({ kind: 'done' });
    const failing = await open().transact({ changes, unwritten });
    expect(failing.kind === 'changed' && failing.keys).toEqual(keys);
    expect(Object.keys(await valuesOf(open()))).toHaveLength(keys.length);
  });

  test('of two transactions at once on the same keys one takes place', async () => {
    const keys = ['services/a', 'services/b', 'services/c'];
    const results = await Promise.all(
      ['one', 'two', 'three'].map((by) => open().transact(free(...keys.map((key) => created(key, by))))),
    );
    expect(results.filter(({ kind }) => kind === 'done')).toHaveLength(1);
    const winner = ['one', 'two', 'three'][results.findIndex(({ kind }) => kind === 'done')];
    expect(await valuesOf(open())).toEqual(Object.fromEntries(keys.map((key) => [key, winner])));
  });
}
