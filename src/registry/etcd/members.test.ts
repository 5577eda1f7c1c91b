import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { InFlight, Lifetime, waitBefore } from './members.ts';

const never = new AbortController().signal;
const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

test('every member is asked once at first, a single one twice; then there is a longer pause before each round', () => {
  const waits = (members: number) => Array.from({ length: 9 }, (_, attempt) => waitBefore(attempt, members, () => 1));
  expect(waits(1)).toEqual([0, 0, 100, 200, 400, 800, 1600, 2000, 2000]);
  expect(waits(3)).toEqual([0, 0, 0, 100, 0, 0, 200, 0, 0]);
});

describe('calls in flight', () => {
  test('are so many at most, and the others follow in order', async () => {
    const inFlight = new InFlight(2);
    const entered: string[] = [];
    const leave = new Map<string, () => void>();
    for (const name of ['a', 'b', 'c', 'd']) {
      void inFlight.enter(never).then((leaving) => {
        entered.push(name);
        if (leaving !== undefined) leave.set(name, leaving);
      });
    }
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b']);
    leave.get('b')?.();
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b', 'c']);
    leave.get('a')?.();
    leave.get('c')?.();
    await turnOfTheLoop();
    expect(entered).toEqual(['a', 'b', 'c', 'd']);
    leave.get('d')?.();
    expect(await inFlight.enter(never)).toBeTypeOf('function');
    expect(await inFlight.enter(never)).toBeTypeOf('function');
  });

  test('do not wait for one that has given up', async () => {
    const inFlight = new InFlight(1);
    const leave = await inFlight.enter(never);
    const patience = new AbortController();
    const second = inFlight.enter(patience.signal);
    const third = inFlight.enter(never);
    patience.abort();
    expect(await second).toBeUndefined();
    leave?.();
    expect(await third).toBeTypeOf('function');
    expect(await inFlight.enter(AbortSignal.abort())).toBeUndefined();
  });
});

const aborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

describe('a call during a lifetime', () => {
  test('is aborted by its own signal, which keeps nothing of it', async () => {
    const lifetime = new Lifetime();
    const own = new AbortController();
    const call = lifetime.during(own.signal, aborted);
    own.abort('enough');
    expect(await call).toBe('enough');
    expect(await lifetime.during(own.signal, aborted)).toBe('enough');
    expect(await lifetime.during(undefined, async (signal) => signal.aborted)).toBe(false);
    await expect(lifetime.during(own.signal, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(getEventListeners(own.signal, 'abort')).toEqual([]);
  });

  test('is aborted by the end, whether it had begun or not', async () => {
    const lifetime = new Lifetime();
    const calls = Array.from({ length: 20 }, () => lifetime.during(new AbortController().signal, aborted));
    lifetime.end();
    const reasons = await Promise.all([...calls, lifetime.during(undefined, aborted)]);
    expect(new Set(reasons)).toEqual(new Set([lifetime.signal.reason]));
  });
});
