import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Lifetime } from './lifetime.ts';

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
