import { expect, test } from 'vitest';
import { readRetryAfter } from './authority-error.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const week = 7 * 86_400_000;

test.each([
  ['120', 120_000],
  ['Thu, 01 Jan 2026 01:00:00 GMT', 3_600_000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['999999999', week],
  ['Fri, 01 Jan 2027 00:00:00 GMT', week],
  ['soon', undefined],
])('an authority that says %s is asked again after a week at most', (text, ms) => {
  expect(readRetryAfter(text, now)).toBe(ms);
});
