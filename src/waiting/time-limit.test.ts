import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { timeLimit, withTimeLimit } from './time-limit.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Collects garbage until the signal aborts. */
async function aborts(signal: AbortSignal): Promise<unknown> {
  const collecting = setInterval(collectGarbage, 5);
  try {
    return await new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
  } finally {
    clearInterval(collecting);
  }
}

test('a time limit is kept when garbage is collected', async () => {
  const parent = new AbortController();
  expect(await aborts(timeLimit(100, parent.signal))).toMatchObject({ name: 'TimeoutError' });
});

test('a time limit ends with the signal that it is given', async () => {
  const parent = new AbortController();
  const limit = timeLimit(60_000, parent.signal);
  setTimeout(() => parent.abort('asked'), 20);
  expect(await aborts(limit)).toBe('asked');
  expect(timeLimit(60_000, parent.signal).aborted).toBe(true);
});

test('a time limit beyond the longest timer of Node.js does not end at once', async () => {
  const parent = new AbortController();
  const limit = timeLimit(2 ** 31, parent.signal);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(limit.aborted).toBe(false);
  parent.abort();
});

test('thousands of calls with a time limit may wait for one signal, and leave nothing at it', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  const parent = new AbortController();
  const calls = Array.from({ length: 2000 }, () =>
    withTimeLimit(60_000, parent.signal, () => new Promise((resolve) => setImmediate(resolve))),
  );
  expect(getEventListeners(parent.signal, 'abort')).toHaveLength(2000);
  await Promise.all(calls);
  expect(getEventListeners(parent.signal, 'abort')).toEqual([]);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

test('a task within a time limit is told when its time is over', async () => {
  const task = withTimeLimit(20, new AbortController().signal, (limit) => aborts(limit));
  expect(await task).toMatchObject({ name: 'TimeoutError' });
});

test('a task that has ended leaves no listener', async () => {
  const parent = new AbortController();
  const limit = await withTimeLimit(60_000, parent.signal, async (signal) => signal);
  expect(getEventListeners(parent.signal, 'abort')).toEqual([]);
  expect(limit.aborted).toBe(true);
});
