import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { untilAny } from './until-any.ts';

const aborted = (signal: AbortSignal) =>
  new Promise<unknown>((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason));
  });

test('work is aborted by the first of its signals, and leaves nothing in any of them', async () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const first = untilAny([one.signal, undefined, other.signal], aborted);
  other.abort('enough');
  expect(await first).toBe('enough');
  expect(await untilAny([one.signal, other.signal], aborted)).toBe('enough');
  expect(await untilAny([one.signal], async (signal) => signal.aborted)).toBe(false);
  await expect(untilAny([one.signal], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(getEventListeners(one.signal, 'abort')).toEqual([]);
  expect(getEventListeners(other.signal, 'abort')).toEqual([]);
});
