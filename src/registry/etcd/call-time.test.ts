import { expect, test } from 'vitest';
import { CallTime } from './call-time.ts';

test('a call gets twice the time after each silence, up to a bound', () => {
  const time = new CallTime();
  expect([time.ms, time.stretch]).toEqual([2000, 1]);
  const after = [1, 2, 3].map(() => {
    time.silent();
    return time.ms;
  });
  expect(after).toEqual([4000, 8000, 8000]);
  expect(time.stretch).toBe(4);
});

test('a member that answered quickly is given up as early as at first, answer by answer', () => {
  const time = new CallTime();
  time.silent();
  time.silent();
  time.answered(5);
  expect(time.ms).toBe(4000);
  time.answered(5);
  time.answered(5);
  expect(time.ms).toBe(2000);
});

test('a slow link keeps the time that a new connection needs, though a call on a warm one takes less', () => {
  const time = new CallTime();
  time.silent();
  for (let i = 0; i < 100; i += 1) time.answered(1100);
  expect(time.ms).toBe(4000);
});
