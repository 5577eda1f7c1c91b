import { describe, expect, test } from 'vitest';
import { MemoryRegistry } from '../../test/support/memory-registry.ts';
import type { Declared } from '../declarations/declared.ts';
import { parseSetName } from '../model/set-name.ts';
import { type CarryOutParts, carryOut } from './carry-out.ts';

const place = { file: 'a.yaml', line: 1, column: 1 };
const declare = (entries: Readonly<Record<string, string>>): readonly Declared[] =>
  Object.entries(entries).map(([key, value]) => ({ key, value, place, placeOf: () => place, flawAt: () => place }));

function parts(memory: MemoryRegistry, entries: Readonly<Record<string, string>>): CarryOutParts {
  const set = parseSetName('shop');
  if (!set.ok) throw new Error(set.reason);
  const options = { set: set.value, prune: true, take: false, maxPrune: 20 };
  const immediate = { random: () => 0, wait: async () => undefined, signal: new AbortController().signal };
  return { registry: memory.registry, declared: declare(entries), options, ...immediate };
}

describe('an apply', () => {
  test('reads and plans again when somebody changes a key that it writes', async () => {
    const memory = new MemoryRegistry();
    await carryOut(parts(memory, { 'services/a': '{}' }));
    let changes = 2;
    memory.onRead = (prefix) => {
      if (prefix.startsWith('services/') && changes > 0) memory.put('services/a', `{"by":${changes--}}`);
    };
    const done = await carryOut(parts(memory, { 'services/a': '{"hosts":["a"]}' }));
    expect(done.transactions).toBe(1);
    expect(memory.entries.get('services/a')?.value).toBe('{"hosts":["a"]}');
    expect(done.revision).toBe(memory.entries.get('services/a')?.revision);
  });

  test('reads and plans again when somebody changes a key that it leaves as it is', async () => {
    const memory = new MemoryRegistry();
    const wanted = { 'services/a': '{}', 'services/b': '{"hosts":["b"]}' };
    await carryOut(parts(memory, { 'services/a': '{}', 'services/b': '{}' }));
    let changed = false;
    memory.onRead = (prefix) => {
      if (!prefix.startsWith('services/') || changed) return;
      changed = true;
      memory.put('services/a', '{"mode":"tcp"}');
    };
    await carryOut(parts(memory, wanted));
    expect(memory.entries.get('services/a')?.value).toBe('{}');
    expect(memory.entries.get('services/b')?.value).toBe('{"hosts":["b"]}');
  });

  test('notices that another set claims the key meanwhile', async () => {
    const memory = new MemoryRegistry();
    memory.onRead = (prefix) => {
      if (prefix === 'sets/' && memory.entries.size === 0) memory.put('sets/other/1', '{"keys":["services/a"]}');
    };
    const { plan, transactions } = await carryOut(parts(memory, { 'services/a': '{}' }));
    expect(plan.problems).toMatchObject([{ what: 'the set other owns services/a' }]);
    expect(transactions).toBe(0);
    expect([...memory.entries.keys()]).toEqual(['sets/other/1']);
  });

  test('gives up when others never stop to change the keys, and names them', async () => {
    const memory = new MemoryRegistry();
    memory.put('services/b', '{}');
    memory.onRead = () => memory.put('services/b', '{}');
    const fault = await carryOut(parts(memory, { 'services/a': '{}', 'services/b': '{}' })).catch((error) => error);
    expect(fault).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('somebody else changed services/b'),
    });
  });

  test('writes one key for one changed value, and nothing the next time', async () => {
    const memory = new MemoryRegistry();
    await carryOut(parts(memory, { 'services/a': '{}', 'keys/x': '1' }));
    memory.transactions.length = 0;
    await carryOut(parts(memory, { 'services/a': '{}', 'keys/x': '2' }));
    expect(memory.transactions.map(({ changes }) => changes.map(({ key }) => key))).toEqual([['keys/x']]);
    const again = await carryOut(parts(memory, { 'services/a': '{}', 'keys/x': '2' }));
    expect(again).toMatchObject({ transactions: 0, revision: memory.entries.get('keys/x')?.revision });
  });
});
