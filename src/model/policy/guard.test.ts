import { describe, expect, test } from 'vitest';
import { defaultPolicy, parsePolicy } from '../policy.ts';

const read = (guard: unknown) => {
  const policy = parsePolicy(JSON.stringify({ guard }));
  return policy.ok ? policy.value.guard : policy.reason;
};

describe("a service's own guard", () => {
  test.each([
    ['off', { share: 1 }],
    [{}, {}],
    [{ share: '25%' }, { share: 0.25 }],
    [
      { share: '0%', minimum: 10, hold: '1h', window: '30s' },
      { share: 0, minimum: 10, holdMs: 3_600_000, windowMs: 30_000 },
    ],
  ])('%j', (given, settings) => {
    expect(read(given)).toEqual(settings);
  });

  test.each([
    ['on', 'guard: expected "off", not "on"'],
    [true, 'guard: expected "off", not true'],
    [{ share: 0.5 }, 'guard.share: expected a string, not 0.5'],
    [{ share: '101%' }, 'guard.share: "101%" is not 0% to 100%'],
    [{ minimum: 0 }, 'guard.minimum: it is not a whole number from 1 to 999999'],
    [{ hold: '100ms' }, 'guard.hold: it is not between 1s and 24h'],
    [{ window: '2h' }, 'guard.window: it is not between 1s and 1h'],
    [{ shares: '50%' }, '"guard.shares" is not a field of a policy'],
  ])('%j is refused', (given, reason) => {
    expect(read(given)).toBe(reason);
  });

  test('is the balancer’s where the policy says nothing', () => {
    expect(parsePolicy('{}')).toMatchObject({ ok: true, value: { guard: {} } });
    expect(defaultPolicy.guard).toEqual({});
  });
});
