import { expect, test } from 'vitest';
import type { Wait } from '../settings/file-declaration.ts';
import { changedAt, dueAt, lookAfter, type Pending, retryAfter } from './quiescence.ts';

const wait = { minMs: 100, maxMs: 1000 };
const never = Number.NEGATIVE_INFINITY;

/** When to make a file that changed at these times; `made`: how many of the changes it was made of already. */
function due(times: readonly number[], how: Wait, made = 0): number {
  const pending = times
    .slice(made)
    .reduce<Pending>((before, time, i) => changedAt(before, time, times[made + i - 1] ?? never), undefined);
  if (pending === undefined) throw new Error('nothing changed');
  return dueAt(pending, how);
}

test.each([
  [[0], 100],
  [[0, 50, 90], 190],
  [[0, 100, 200, 300, 400, 500, 600, 700, 800, 950], 1000],
])('what changed at %j is made at %i', (times, at) => {
  expect(due(times, wait)).toBe(at);
});

test.each([
  ['a single change', [5000], 0, 5000],
  ['a change after a quiet time', [0, 5000], 1, 5000],
  ['a change that follows another closely', [0, 50], 1, 150],
  ['changes that come while the file is made', [0, 50, 90], 1, 190],
  ['two changes, none of them made yet', [0, 1], 0, 101],
])('with lead, %s is waited for only after another', (_, times, made, at) => {
  expect(due(times, { ...wait, lead: true }, made)).toBe(at);
});

test('a failure is tried again until it succeeds, each time later than before, every minute at last', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 1000].map(retryAfter)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

test('a file that is changed again and again is looked at less often, every minute at last', () => {
  expect([0, 1, 2, 10].map((times) => lookAfter(2000, times))).toEqual([2000, 4000, 8000, 60_000]);
  expect(lookAfter(120_000, 3)).toBe(120_000);
});
