import { afterEach, expect, test, vi } from 'vitest';
import { deferred } from './deferred.ts';
import { sayWhile } from './say-while.ts';

afterEach(() => vi.useRealTimers());

test('work is told of after a second, then every ten seconds, and not after its end', async () => {
  vi.useFakeTimers();
  const work = deferred();
  let said = 0;
  const done = sayWhile(work.promise, () => {
    said += 1;
  });
  await vi.advanceTimersByTimeAsync(999);
  expect(said).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(said).toBe(1);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(said).toBe(3);
  work.resolve();
  await done;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(said).toBe(3);
});
