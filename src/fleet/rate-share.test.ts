import { describe, expect, test } from 'vitest';
import { balancerOf } from './acknowledgement.ts';
import {
  formatRateCounts,
  isRateCountsKey,
  isTableKey,
  parseRateCounts,
  type RateCount,
  rateCountsKey,
} from './rate-counts.ts';
import { lookEveryMs, shareOf, weightOf } from './rate-share.ts';

const counted = (asked: number, passed: number): RateCount => ({ asked, passed });

/** The shares of all balancers, each from its own look at the same counts. */
const sharesOf = (limit: { requests: number; perMs: number }, counts: readonly RateCount[]): readonly number[] =>
  counts.map((own, i) => shareOf(limit, [own, ...counts.filter((_, j) => j !== i)]));
const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0);

describe('the shares of all balancers', () => {
  test.each([1000, 10_000, 3_600_000])('are the limit in a time of %i ms, whatever was counted', (perMs) => {
    const limit = { requests: 100, perMs };
    for (const counts of [
      [counted(210, 33), counted(60, 33), counted(30, 30)],
      [counted(5, 5), counted(0, 0), counted(1, 1)],
      [counted(300, 100), counted(0, 0), counted(0, 0)],
      [counted(90, 90), counted(90, 90), counted(0, 0)],
      [counted(0, 0), counted(0, 0), counted(0, 0)],
    ]) {
      expect(total(sharesOf(limit, counts))).toBeCloseTo(100);
    }
  });

  test('follow the load', () => {
    const limit = { requests: 100, perMs: 1000 };
    expect(sharesOf(limit, [counted(210, 33), counted(60, 33), counted(30, 30)])).toEqual([70, 20, 10]);
  });
});

/** Balancers that count as HAProxy does, with looks in turns: how many requests passed in each time of the limit. */
function simulate(
  limit: { requests: number; perMs: number },
  loads: (second: number) => readonly number[],
  seconds: number,
) {
  const steps = 10;
  const window = Math.round((limit.perMs / 1000) * steps);
  // What each balancer counted since the beginning, after each step.
  const sums: RateCount[][] = [[0, 1, 2].map(() => counted(0, 0))];
  const between = (from: number, to: number, i: number): RateCount => {
    const [before, after] = [sums[Math.max(0, from)]?.[i], sums[Math.min(to, sums.length - 1)]?.[i]];
    return counted((after?.asked ?? 0) - (before?.asked ?? 0), (after?.passed ?? 0) - (before?.passed ?? 0));
  };
  const count = (i: number) => between(sums.length - 1 - window, sums.length - 1, i);
  let shares = [0, 1, 2].map(() => limit.requests / 3);
  for (let step = 0; step < seconds * steps; step += 1) {
    const asked = loads(step / steps).map((perS) => perS / steps);
    const passed = asked.map((requests, i) => Math.min(requests, Math.max(0, (shares[i] ?? 0) - count(i).passed)));
    const now = sums.at(-1) ?? [];
    sums.push(now.map((sum, i) => counted(sum.asked + (asked[i] ?? 0), sum.passed + (passed[i] ?? 0))));
    if (step % ((lookEveryMs / 1000) * steps) === 0) shares = [...sharesOf(limit, [0, 1, 2].map(count))];
  }
  return (from: number) => total([0, 1, 2].map((i) => between(from * steps, from * steps + window, i).passed));
}

describe('requests that pass at three balancers', () => {
  test.each([1000, 10_000, 60_000])(
    'are the limit within 5 percent while the load is uneven, in a time of %i ms',
    (perMs) => {
      const requests = (60 * perMs) / 1000;
      const passed = simulate({ requests, perMs }, () => [126, 36, 18], 400);
      for (const from of [100, 200, 300]) expect(passed(from) / requests).toBeCloseTo(1, 1);
    },
  );

  test('are the limit within 10 percent after a client has gone to another balancer', () => {
    const requests = 600;
    const passed = simulate({ requests, perMs: 60_000 }, (second) => (second < 200 ? [20, 0, 0] : [0, 20, 0]), 500);
    for (const from of [100, 180, 200, 220, 300, 400]) {
      expect(passed(from) / requests).toBeLessThan(1.1);
      expect(passed(from) / requests).toBeGreaterThan(0.7);
    }
    expect(passed(400) / requests).toBeCloseTo(1, 1);
  });
});

test('a request counts so much that the limit is reached with the share', () => {
  expect([50, 100, 100 / 3].map((share) => weightOf(100, share))).toEqual([2000, 1000, 3000]);
  // A share of nothing lets one request pass, and a larger share than the limit is possible while others are idle.
  expect([0, 0.0001, 1e9].map((share) => weightOf(100, share))).toEqual([100_000, 100_000, 1]);
});

test('counts can be read back, and nothing else can', () => {
  const counts = new Map([
    ['web/10.0.0.1', counted(5, 3)],
    ['web/2001:db8::', counted(1, 1)],
    ['api/356A192B7913B04C54574D18C28D46E6395428AB', counted(9, 9)],
  ]);
  const read = parseRateCounts(formatRateCounts(counts));
  expect(read).toEqual({ ok: true, value: new Map([...counts].sort()) });
  for (const value of [
    'x',
    '{"format":2,"counts":{}}',
    '{"format":1}',
    '{"format":1,"counts":{"web/1.2.3.4":[1]}}',
    '{"format":1,"counts":{"web/1.2.3.4":[-1,0]}}',
    '{"format":1,"counts":{"web/1.2.3.4; shutdown":[1,1]}}',
    `{"format":1,"counts":{${Array.from({ length: 501 }, (_, i) => `"web/10.0.0.${i}":[1,1]`).join()}}}`,
  ]) {
    expect(parseRateCounts(value).ok).toBe(false);
  }
  expect(isTableKey('fleet')).toBe(false);
});

test('an entry with counts is no acknowledgement', () => {
  const key = rateCountsKey('lb-1', '0a1b2c3d-0000');
  expect(key).toBe('balancers/lb-1:0a1b2c3d-rates');
  expect(isRateCountsKey(key)).toBe(true);
  expect(balancerOf(key)).toBeUndefined();
  for (const other of ['balancers/lb-1', 'balancers/lb-1:0a1b2c3d']) expect(isRateCountsKey(other)).toBe(false);
});
