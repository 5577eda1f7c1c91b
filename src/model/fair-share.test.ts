import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fairShare } from './fair-share.ts';

const demands = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 12 });
const capacity = fc.integer({ min: 1, max: 400 });
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

test('a fair share is enough for all where the capacity is', () => {
  fc.assert(
    fc.property(demands, (all) => {
      expect(fairShare(all, sum(all))).toBe(Number.POSITIVE_INFINITY);
    }),
  );
});

test('a fair share uses up the capacity, and nobody gets less than an equal part of it', () => {
  fc.assert(
    fc.property(demands, capacity, (all, most) => {
      fc.pre(sum(all) > most);
      const share = fairShare(all, most);
      expect(sum(all.map((demand) => Math.min(demand, share)))).toBeCloseTo(most);
      expect(share).toBeGreaterThanOrEqual(most / all.length);
    }),
  );
});

test('somebody who demands more takes nothing from those who demand little', () => {
  fc.assert(
    fc.property(demands, capacity, fc.nat(1000), (all, most, more) => {
      const equal = most / (all.length + 1);
      const share = fairShare([...all, more], most);
      for (const demand of all.filter((one) => one <= equal)) expect(demand).toBeLessThanOrEqual(share);
    }),
  );
});
