import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startSpinner } from './spinner.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The lines in a log after so many seconds. */
function linesAfter(seconds: number, often?: 'once'): readonly string[] {
  const stream = new PassThrough();
  const spinner = startSpinner(Object.assign(stream, { isTTY: false }) as unknown as NodeJS.WriteStream);
  spinner.say('waiting', often);
  vi.advanceTimersByTime(seconds * 1000);
  spinner.stop();
  return String(stream.read() ?? '')
    .split('\n')
    .filter((line) => line !== '');
}

test('a log has a line about a long wait every half a minute', () => {
  expect(linesAfter(4)).toEqual([]);
  expect(linesAfter(80)).toEqual(['waiting', 'waiting', 'waiting']);
});

test('a log has one line about a wait that has a limit of its own', () => {
  expect(linesAfter(80, 'once')).toEqual(['waiting']);
});
