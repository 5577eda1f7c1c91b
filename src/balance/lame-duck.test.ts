import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { LameDuck } from './lame-duck.ts';
import { lameDuckAt } from './reconcile/ending.ts';

function started() {
  const [leaving, ending] = [new AbortController(), new AbortController()];
  const lameDuck = new LameDuck({
    lameDuckMs: 5000,
    leaving: leaving.signal,
    signal: ending.signal,
    end: () => ending.abort(),
    logger: pino({ level: 'silent' }),
    now: () => performance.now(),
  });
  return { lameDuck, leaving, ending };
}

test('a balancer that serves leaves for the time given, and then ends', () => {
  vi.useFakeTimers();
  const { lameDuck, leaving, ending } = started();
  const leave = vi.fn();
  lameDuck.serves(leave);
  expect(lameDuck.status()).toBeUndefined();
  leaving.abort();
  expect(leave).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(4000);
  expect(lameDuck.status()).toEqual({ sinceMs: 4000, stopsInMs: 1000 });
  expect(ending.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1000);
  expect(ending.signal.aborted).toBe(true);
  vi.useRealTimers();
});

test('a balancer that does not serve yet ends at once', () => {
  const { leaving, ending, lameDuck } = started();
  leaving.abort();
  expect(ending.signal.aborted).toBe(true);
  expect(lameDuck.status()).toBeUndefined();
});

test.each([
  ['SIGTERM', 'stop', 5000],
  ['SIGTERM', 'leave', 0],
  ['SIGINT', 'stop', 0],
  ['SIGUSR2', 'stop', 0],
] as const)('at %s with --on-stop %s HAProxy serves on for %i ms', (signal, onStop, expected) => {
  expect(lameDuckAt(signal, onStop, 5000)).toBe(expected);
});
