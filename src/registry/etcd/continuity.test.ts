import type { IEvent } from 'etcd3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Continuity } from './continuity.ts';
import { keySpace } from './key-space.ts';

const keys = keySpace('/p/');

function event(key: string, version: number): IEvent {
  const none = { create_revision: '0', mod_revision: '0', lease: '0', value: Buffer.alloc(0) };
  const kv = { ...none, key: Buffer.from(`/p/${key}`), version: String(version) };
  return { type: version === 0 ? 'Delete' : 'Put', kv, prev_kv: kv };
}

const from = (...versions: (readonly [string, number])[]) => new Continuity(keys, versions);

describe('the continuity of changes', () => {
  test('is what etcd counts: from the listing on, over deletions, for each key alone', () => {
    const continuity = from(['a', 3]);
    const events = [event('a', 4), event('b', 1), event('a', 0), event('b', 2), event('a', 1)];
    expect(continuity.take(events)).toBeUndefined();
    expect(continuity.take([event('a', 2)])).toBeUndefined();
  });

  test('ends with a change, a creation or a deletion that never came', () => {
    expect(from(['a', 3]).take([event('a', 5)])).toBe('a');
    expect(from().take([event('a', 2)])).toBe('a');
    expect(from(['a', 3]).take([event('b', 1), event('a', 1)])).toBe('a');
    expect(from().take([event('a', 0)])).toBe('a');
  });

  test('is broken by whatever is left out of a history, unless the key is deleted or left alone after that', () => {
    const change = fc.record({ key: fc.constantFrom('a', 'b', 'c'), deletes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 30 }), fc.nat(), (history, at) => {
        const versions = new Map<string, number>();
        const events = history.flatMap(({ key, deletes }) => {
          const before = versions.get(key) ?? 0;
          if (deletes && before === 0) return [];
          versions.set(key, deletes ? 0 : before + 1);
          return [event(key, deletes ? 0 : before + 1)];
        });
        expect(from().take(events)).toBeUndefined();
        const left = events[at % events.length];
        if (left === undefined) return;
        const missing = keys.fromBytes(left.kv.key);
        const next = events.slice(events.indexOf(left) + 1).find(({ kv }) => kv.key.equals(left.kv.key));
        const hidden = next === undefined || (next.type === 'Delete' && Number(left.kv.version) > 1);
        const found = from().take(events.filter((one) => one !== left));
        expect(found).toBe(hidden ? undefined : missing);
      }),
    );
  });
});
