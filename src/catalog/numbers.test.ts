import fc from 'fast-check';
import { Map as PersistentMap } from 'immutable';
import { describe, expect, test } from 'vitest';
import type { InstanceId } from '../model/name.ts';
import { askersBeside, type Numbers, numberOf, withNumber, withoutNumber } from './numbers.ts';

// Found by trying: their hashes are equal modulo 2^31 - 1.
const [first, second] = ['web-57938', 'web-68781'] as [InstanceId, InstanceId];
const none: Numbers = PersistentMap();

describe('numbers', () => {
  test('are made of the name alone, and are ones that HAProxy takes', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 50 }), (ids) => {
        const numbers = ids.reduce((all, id) => withNumber(all, id as InstanceId), none);
        for (const id of ids as InstanceId[]) {
          const number = numberOf(numbers, id);
          expect(number).toBe(numberOf(withNumber(none, id), id));
          expect(number).toBeGreaterThan(0);
          expect(number).toBeLessThan(2 ** 31);
        }
        expect(ids.reduce((left, id) => withoutNumber(left, id as InstanceId), numbers).size).toBe(0);
      }),
    );
  });

  test('go to the least name of those that ask for one, in whatever order they came', () => {
    for (const order of [
      [first, second],
      [second, first],
    ] as const) {
      const both = order.reduce(withNumber, none);
      expect(numberOf(both, first)).toBe(numberOf(withNumber(none, first), first));
      expect(numberOf(both, second)).toBeUndefined();
      expect(askersBeside(both, second)).toEqual([first, second]);
      const left = withoutNumber(both, first);
      expect(numberOf(left, second)).toBe(numberOf(both, first));
      expect(withoutNumber(left, second).size).toBe(0);
    }
  });

  test('are kept by one who asks twice', () => {
    const once = withNumber(none, first);
    expect(withNumber(once, first)).toBe(once);
  });
});
