import { expect, test } from 'vitest';
import { changedAt, dueAt, lookAfter, type Pending, retryAfter } from './quiescence.ts';

const wait = { minMs: 100, maxMs: 1000 };
const after = (...times: readonly number[]): number => {
  const pending = times.reduce<Pending>(changedAt, undefined);
  if (pending === undefined) throw new Error('nothing changed');
  return dueAt(pending, wait);
};

test.each([
  [[0], 100],
  [[0, 50, 90], 190],
  [[0, 100, 200, 300, 400, 500, 600, 700, 800, 950], 1000],
])('what changed at %j is made at %i', (times, due) => {
  expect(after(...times)).toBe(due);
});

test('a failure is tried again until it succeeds, each time later than before, every minute at last', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 1000].map(retryAfter)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

test('a file that is changed again and again is looked at less often, every minute at last', () => {
  expect([0, 1, 2, 10].map((times) => lookAfter(2000, times))).toEqual([2000, 4000, 8000, 60_000]);
  expect(lookAfter(120_000, 3)).toBe(120_000);
});
