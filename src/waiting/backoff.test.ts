import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

test('the pause doubles with each failure up to the longest', () => {
  const bounds = { firstMs: 1000, mostMs: 30_000 };
  const pauses = [0, 1, 2, 3, 4, 5, 6, 10_000].map((failures) => backoffMs(bounds, failures));
  expect(pauses).toEqual([1000, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test('only the jitter of a pause is random', () => {
  const pause = (jitter: number, random: number) => backoffMs({ firstMs: 1000, mostMs: 30_000, jitter }, 1, random);
  expect([pause(0.2, 0), pause(0.2, 0.5), pause(0.2, 1)]).toEqual([800, 900, 1000]);
  expect([pause(1, 0), pause(1, 0.5), pause(0, 0)]).toEqual([0, 500, 1000]);
});
