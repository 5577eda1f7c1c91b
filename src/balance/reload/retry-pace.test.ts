import { expect, test } from 'vitest';
import { dueNow, failedAgain, nextDueMs, onlyThese, type RetryPace } from './retry-pace.ts';

const bounds = { firstMs: 1000, mostMs: 30_000 };
const none: RetryPace = new Map();

test('one that fails in the same form waits longer each time, and another form begins anew', () => {
  const at = (now: number) => ({ now, random: () => 1 });
  expect(nextDueMs(failedAgain(none, [['a', 'x']], bounds, { now: 0, random: () => 0 }), ['a'], 0)).toBe(800);
  const once = failedAgain(none, [['a', 'x']], bounds, at(0));
  expect(nextDueMs(once, ['a'], 0)).toBe(1000);
  expect([...dueNow(once, ['a', 'b'], 0)]).toEqual(['b']);
  const twice = failedAgain(once, [['a', 'x']], bounds, at(1000));
  expect(nextDueMs(twice, ['a'], 1000)).toBe(2000);
  expect([...dueNow(twice, ['a'], 3000)]).toEqual(['a']);
  const other = failedAgain(twice, [['a', 'y']], bounds, at(3000));
  expect(nextDueMs(other, ['a'], 3000)).toBe(1000);
  expect(nextDueMs(onlyThese(other, new Set()), ['a'], 3000)).toBe(0);
  expect(nextDueMs(other, [], 3000)).toBeUndefined();
});
