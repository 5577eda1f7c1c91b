import { expect, test } from 'vitest';
import { changedAt, dueAt, type Pending, retryAfter } from './quiescence.ts';

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

test('a failure is tried again five times, each later than the one before', () => {
  expect([1, 2, 3, 4, 5, 6].map(retryAfter)).toEqual([1000, 2000, 4000, 8000, 16_000, undefined]);
});
