import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextCheckIn, nextHealth, untested } from './health.ts';

const after = (checks: string, rhythm: { rise: number; fall: number }) =>
  [...checks].reduce((health, check) => nextHealth(health, check === '+', rhythm), untested);

describe('the verdict', () => {
  test.each([
    ['', 1, 3, 'unknown'],
    ['+', 1, 3, 'healthy'],
    ['+', 2, 3, 'unknown'],
    ['++', 2, 3, 'healthy'],
    ['+-+', 2, 3, 'unknown'],
    ['--', 1, 3, 'unknown'],
    ['---', 1, 3, 'unhealthy'],
    ['+--', 1, 3, 'healthy'],
    ['+--+--', 1, 3, 'healthy'],
    ['+---', 1, 3, 'unhealthy'],
    ['+---+', 2, 3, 'unhealthy'],
    ['+---+-+', 2, 3, 'unhealthy'],
    ['+---++', 2, 3, 'healthy'],
  ] as const)('after %j, with rise %i and fall %i, is %s', (checks, rise, fall, verdict) => {
    expect(after(checks, { rise, fall }).verdict).toBe(verdict);
  });

  test('changes only after that many equal checks in a row, whatever came before', () => {
    const checks = fc.array(fc.constantFrom('+', '-'), { maxLength: 60 });
    const count = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(checks, count, count, (list, rise, fall) => {
        let health = untested;
        list.forEach((check, at) => {
          const before = health;
          health = nextHealth(before, check === '+', { rise, fall });
          const last = (length: number) => list.slice(Math.max(0, at + 1 - length), at + 1).join('');
          if (health.verdict !== before.verdict) {
            expect(health.verdict === 'healthy' ? last(rise) : last(fall)).toBe(
              health.verdict === 'healthy' ? '+'.repeat(rise) : '-'.repeat(fall),
            );
          }
          if (last(rise) === '+'.repeat(rise)) expect(health.verdict).toBe('healthy');
          if (last(fall) === '-'.repeat(fall)) expect(health.verdict).toBe('unhealthy');
        });
      }),
    );
  });
});

describe('the next check', () => {
  const rhythm = { rise: 1, fall: 3 };
  const waits = (checks: string, random = 0.5) => nextCheckIn(after(checks, rhythm), { intervalMs: 2000 }, random);

  test('comes soon while an application starts, then less often, at most at the interval', () => {
    const starting = Array.from({ length: 30 }, (_, n) => Math.round(waits('-'.repeat(n))));
    expect(starting.slice(0, 3)).toEqual([50, 65, 85]);
    expect(starting).toEqual(starting.toSorted((a, b) => a - b));
    expect(starting.at(-1)).toBe(2000);
  });

  test('keeps the interval once it was healthy, whatever it is now', () => {
    expect(['+', '+-', '+---', '+---+'].map((checks) => waits(checks))).toEqual([2000, 2000, 2000, 2000]);
  });

  test('has a tenth of jitter', () => {
    expect([waits('+', 0), waits('+', 1)]).toEqual([1800, 2200]);
  });
});
