import { expect, test } from 'vitest';
import { OncePerReason } from './once-per-reason.ts';

test('a reason is new once for each key, and again after another reason or none', () => {
  const reasons = new OncePerReason();
  const isNew = (reason: string | undefined) => reasons.isNew('a', reason);
  expect([isNew('full'), isNew('full'), isNew('gone'), isNew('full')]).toEqual([true, false, true, true]);
  expect([isNew(undefined), isNew('full')]).toEqual([false, true]);
  expect(reasons.isNew('b', 'full')).toBe(true);
  reasons.keepOnly(new Set(['b']));
  expect([isNew('full'), reasons.isNew('b', 'full')]).toEqual([true, false]);
});

test('the same reason is new again after the time of a reminder', () => {
  let now = 0;
  const reasons = new OncePerReason({ remindMs: 1000, now: () => now });
  const at = (ms: number) => {
    now = ms;
    return reasons.isNew('a', 'full');
  };
  expect([at(0), at(999), at(1000), at(1999), at(2000)]).toEqual([true, false, true, false, true]);
});
