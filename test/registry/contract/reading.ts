import { expect, test } from 'vitest';
import { catalogKeys, fleetKeys } from '../../../src/registry/registry.ts';
import type { Recorder } from '../recorder.ts';
import type { ContractTree } from './tree.ts';

/** Reads, ranges and writes without a session. */
export function readingContract({ follow, open, openSession }: ContractTree): void {
  test('a read sees what was written before it, and only what begins with the prefix', async () => {
    const writer = open();
    await writer.write('instances/web/a', '1');
    await writer.write('instances/web2/a', '2');
    const at = await writer.write('keys/colour', 'blue');
    const { revision, entries } = await open().read('instances/web/');
    expect(entries.map(({ key, value, leased }) => ({ key, value, leased }))).toEqual([
      { key: 'instances/web/a', value: '1', leased: false },
    ]);
    expect(revision).toBeGreaterThanOrEqual(at);
    const all = await open().read('');
    expect(all.entries.map(({ key }) => key).sort()).toEqual(['instances/web/a', 'instances/web2/a', 'keys/colour']);
  });

  test('a follower of a range hears of nothing else, and of that in the same order', async () => {
    const writer = open();
    await writer.write('balancers/lb-0', 'here');
    await writer.write('keys/colour', 'blue');
    const catalog = await follow(open(), catalogKeys);
    const fleet = await follow(open(), fleetKeys);
    const one = await follow(open(), { first: 'instances/web/', end: 'instances/web0' });
    expect(catalog.values()).toEqual({ 'keys/colour': 'blue' });
    expect(fleet.values()).toEqual({ 'balancers/lb-0': 'here' });

    const { session } = openSession();
    await session.put('balancers/lb-1', 'one');
    await session.put('instances/web/a', '127.0.0.1:1');
    await session.put('balancers/lb-1', 'two');
    await session.put('instances/web2/a', '127.0.0.1:2');
    const removed = await session.remove('instances/web/a');
    const left = await session.remove('balancers/lb-1');
    const last = await session.put('overrides/web/*', 'drain');
    await catalog.reached(last);
    await fleet.reached(left ?? last);
    await one.reached(removed ?? last);
    const told = (recorder: Recorder) => recorder.changes.map((change) => change.replace(/^\d+ /, ''));
    expect(told(catalog)).toEqual([
      'put instances/web/a=127.0.0.1:1',
      'put instances/web2/a=127.0.0.1:2',
      'delete instances/web/a',
      'put overrides/web/*=drain',
    ]);
    expect(told(fleet)).toEqual(['put balancers/lb-1=one', 'put balancers/lb-1=two', 'delete balancers/lb-1']);
    expect(told(one)).toEqual(['put instances/web/a=127.0.0.1:1', 'delete instances/web/a']);
  });

  test('what is removed is gone, and removing nothing is no revision', async () => {
    const writer = open();
    await writer.write('keys/a', '1');
    expect(await writer.remove('keys/a')).toBeTypeOf('bigint');
    expect(await writer.remove('keys/a')).toBeUndefined();
    expect((await writer.read('keys/')).entries).toEqual([]);
  });

  test('a key is replaced only by those who know its last change', async () => {
    const writer = open();
    const [first, key] = [await writer.replace('keys/a', '1', undefined), 'keys/a'];
    expect(first).toBeTypeOf('bigint');
    expect(await writer.replace(key, '2', undefined)).toBeUndefined();
    const second = await writer.write(key, '2');
    expect(await writer.replace(key, '3', first)).toBeUndefined();
    expect(await writer.replace(key, undefined, first)).toBeUndefined();
    expect((await writer.read(key)).entries).toMatchObject([{ value: '2', revision: second }]);
    const third = await writer.replace(key, '3', second);
    expect(await writer.replace(key, undefined, third)).toBeTypeOf('bigint');
    expect(await writer.replace(key, '4', third)).toBeUndefined();
    expect((await writer.read(key)).entries).toEqual([]);
  });
}
