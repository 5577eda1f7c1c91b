import { expect, test } from 'vitest';
import { engineTimeOf } from './engine-time.ts';

const second = Date.parse('2026-01-01T00:00:10Z');
const date = 'Thu, 01 Jan 2026 00:00:10 GMT';

test.each([
  ['is ours behind a socket', date, second + 400, true, second + 401],
  ['is ours behind a socket, when the answer took a moment', date, second + 1400, true, second + 1401],
  ['is that of its header behind a forwarded socket', date, second + 60_000, true, second + 1000],
  ['is that of its header behind a forwarded socket whose clock is ahead', date, second - 1, true, second + 1000],
  ['is the end of the second of its header over TCP', date, second + 400, false, second + 1000],
  ['is ours without a header', undefined, second + 400, false, second + 401],
  ['is ours with a header that is no date', 'soon', second + 400, true, second + 401],
] as const)('the time of an engine %s', (_, header, now, isLocal, expected) => {
  expect(engineTimeOf(header, now, isLocal)).toBe(expected);
});
