import { describe, expect, test } from 'vitest';
import { acknowledgeEveryMs } from './acknowledge-pace.ts';

describe('the pace of acknowledgements', () => {
  test.each([
    [0, 50],
    [1, 50],
    [20, 50],
    [200, 500],
    [1000, 2500],
  ])('of a fleet of %i is one in %i ms', (balancers, ms) => {
    expect(acknowledgeEveryMs(balancers)).toBe(ms);
  });
});
