import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromTwoBytes, toTwoBytes } from './two-bytes.ts';

test('a quantity comes back from two bytes within 0.03 %, or within 0.0005', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e10, noNaN: true }), (quantity) => {
      const code = toTwoBytes(quantity);
      expect(code).toBeLessThanOrEqual(65_535);
      const back = fromTwoBytes(code) ?? Number.NaN;
      expect(Math.abs(back - quantity)).toBeLessThanOrEqual(Math.max(0.0005, quantity * 0.0003));
    }),
  );
});

test('0 stays 0, and an unknown quantity stays unknown', () => {
  expect(fromTwoBytes(toTwoBytes(0))).toBe(0);
  expect(fromTwoBytes(toTwoBytes(undefined))).toBeUndefined();
});
