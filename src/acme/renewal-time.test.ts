import { describe, expect, test } from 'vitest';
import { leastRestMs, nextAdviceMs, notTooSoon, renewalByAdvice, renewalByLifetime } from './renewal-time.ts';
import { pauseMs, retryMs } from './retry-time.ts';

const day = 86_400_000;
const from = Date.parse('2026-01-01T00:00:00Z');
const share = (renewAt: string | undefined, lifetime: number): number => (Date.parse(renewAt ?? '') - from) / lifetime;

describe.each([
  ['47 days', 47 * day],
  ['6 days', 6 * day],
  ['60 seconds', 60_000],
])('a certificate of %s', (_, lifetime) => {
  const validity = { from, until: from + lifetime };

  test('is renewed at two thirds of its lifetime, or up to a twelfth earlier', () => {
    expect(share(renewalByLifetime(validity, 0).renewAt, lifetime)).toBeCloseTo(2 / 3, 3);
    expect(share(renewalByLifetime(validity, 1).renewAt, lifetime)).toBeCloseTo(2 / 3 - 1 / 12, 3);
  });

  test('has room for five attempts between its renewal and its end', () => {
    let waited = 0;
    for (let failures = 1; failures <= 5; failures += 1) waited += retryMs(failures, lifetime, undefined, 1);
    expect(waited).toBeLessThan(lifetime / 3);
  });
});

test("the authority's advice goes before the lifetime, at a random time of its window", () => {
  const validity = { from, until: from + 47 * day };
  const advice = { start: from + day, end: from + 3 * day, retryAfterMs: undefined };
  const before = renewalByLifetime(validity, 0);
  const advised = renewalByAdvice(advice, before, validity, 0.5);
  expect(advised).toEqual({ renewAt: new Date(from + 2 * day).toISOString(), renewBy: 'advice' });
  // The same window again changes nothing.
  expect(renewalByAdvice(advice, advised, validity, 0.9)).toBe(advised);
  // Another window does.
  expect(renewalByAdvice({ ...advice, end: from + day }, advised, validity, 0).renewAt).toBe(
    new Date(from + day).toISOString(),
  );
});

test.each([
  ['after the end', 5],
  ['at the end', 1],
  ['shortly before the end', 0.95],
])('advice to renew %s does not count: the certificate is renewed by its lifetime', (_, days) => {
  const validity = { from, until: from + day };
  const advice = { start: from + days * day, end: from + days * day, retryAfterMs: undefined };
  const byLifetime = renewalByLifetime(validity, 0.5);
  expect(renewalByAdvice(advice, byLifetime, validity, 0)).toBe(byLifetime);
  // An earlier version stored the end.
  const before = { renewAt: new Date(from + days * day).toISOString(), renewBy: 'advice' as const };
  expect(renewalByAdvice(advice, before, validity, 0.5)).toEqual(byLifetime);
});

test('a new certificate is not renewed at once, whatever the authority advises', () => {
  const validity = { from, until: from + 90 * day };
  const issuedAt = new Date(from).toISOString();
  const past = { renewAt: new Date(from - day).toISOString(), renewBy: 'advice' as const };
  const later = { ...past, renewAt: new Date(from + 1.5 * day).toISOString() };
  expect(notTooSoon(past, issuedAt, validity)).toEqual(later);
  expect(notTooSoon(later, issuedAt, validity)).toBe(later);
  expect([47 * day, 6 * day, 600_000, 60_000].map((ms) => leastRestMs({ from, until: from + ms }))).toEqual([
    ...[1.5 * day, day / 2, 60_000, 20_000],
  ]);
});

test('the advice is asked for between once a minute and once a day', () => {
  expect(nextAdviceMs({ retryAfterMs: undefined })).toBe(6 * 3_600_000);
  expect(nextAdviceMs({ retryAfterMs: 1000 })).toBe(60_000);
  expect(nextAdviceMs({ retryAfterMs: 40 * day })).toBe(day);
});

test('a host is tried again after one minute at first, and once a day at last', () => {
  expect(retryMs(1, undefined, undefined, 1)).toBe(60_000);
  expect(retryMs(2, undefined, undefined, 1)).toBe(120_000);
  expect(retryMs(40, undefined, undefined, 1)).toBe(day);
});

test('nothing is tried before the authority allows it', () => {
  expect(retryMs(1, undefined, 3_600_000, 0)).toBe(3_600_000);
  expect(retryMs(1, 60_000, 3_600_000, 0)).toBe(3_600_000);
  expect(pauseMs(1, 3_600_000, 0)).toBe(3_600_000);
});
