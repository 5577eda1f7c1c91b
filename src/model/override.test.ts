import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatOverride, longestPauseMs, type Override, parseOverride, pauseOf, takesOut } from './override.ts';

const effect = fc.oneof(
  fc.constant({ kind: 'drain' } as const),
  fc.constant({ kind: 'maintenance' } as const),
  fc.record({ kind: fc.constant('weight' as const), weight: fc.integer({ min: 0, max: 256 }) }),
);
const year2100 = Date.UTC(2100, 0, 1);

test('a pause is as long as it says', () => {
  const lasts = (value: string) => {
    const override = parseOverride(value);
    return override.ok ? pauseOf(override.value) : override.reason;
  };
  expect(lasts('{"kind":"pause","at":"2026-01-01T00:00:00Z","until":"2026-01-01T00:00:30Z"}')).toBe(30_000);
  expect(lasts('{"kind":"pause","until":"2026-01-01T00:00:30Z"}')).toBe(longestPauseMs);
  expect(lasts('{"kind":"drain"}')).toBeUndefined();
});

describe('an override', () => {
  test('is read back as it was written', () => {
    const text = fc.stringMatching(/^[\x21-\x7e]{1,128}$/);
    const time = fc.integer({ min: 0, max: year2100 });
    const lasting = fc.oneof(
      fc.tuple(fc.option(time, { nil: undefined }), fc.constant(undefined)),
      fc.tuple(time, fc.integer({ min: 1, max: year2100 })).map(([at, ms]) => [at, at + ms] as const),
    );
    const optional = fc.option(text, { nil: undefined });
    fc.assert(
      fc.property(effect, optional, optional, lasting, (effect, who, why, [at, until]) => {
        const override: Override = { effect, who, why, at, until };
        expect(parseOverride(formatOverride(override))).toEqual({ ok: true, value: override });
      }),
    );
  });

  test('needs only its kind, for one who writes it by hand', () => {
    const nothing = { who: undefined, why: undefined, at: undefined, until: undefined };
    expect(parseOverride('{"kind":"drain"}')).toEqual({ ok: true, value: { effect: { kind: 'drain' }, ...nothing } });
  });

  test.each([
    ['', 'it is not JSON'],
    ['drain', 'it is not JSON'],
    ['[]', 'it is not a JSON object'],
    ['{}', 'kind: is not one of drain, maintenance, weight, pause'],
    ['{"kind":"Drain"}', 'kind: is not one of drain, maintenance, weight, pause'],
    ['{"kind":"weight"}', 'weight:'],
    ['{"kind":"weight","weight":257}', 'weight: "257" is not a whole number from 0 to 256'],
    ['{"kind":"weight","weight":1.5}', 'weight: "1.5" is not a whole number from 0 to 256'],
    ['{"kind":"weight","weight":"1"}', 'weight: it is not a number'],
    ['{"kind":"drain","weight":1}', '"weight" is not a field of an override'],
    ['{"kind":"drain","until":"tomorrow"}', 'until: "tomorrow" is not a time like'],
    ['{"kind":"drain","until":"2026-02-31T25:00:00Z"}', 'until: "2026-02-31T25:00:00Z" is not a time like'],
    ['{"kind":"drain","at":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}', 'until: it is not later than at'],
    ['{"kind":"drain","who":"a\\nb"}', 'who: has a control character'],
    ['{"kind":"drain","why":"\\u001b[2J"}', 'why: has a control character'],
    ['{"kind":"drain","why":"\\u202egnp.exe"}', 'why: has a control character'],
    ['{"kind":"drain","why":""}', 'why: is empty'],
    [`{"kind":"drain","why":"${'x'.repeat(257)}"}`, 'why: is longer than 256'],
    ['{"kind":"pause"}', 'until: it is missing, and a pause needs an end'],
    ['{"kind":"pause","at":"2026-01-01T00:00:00Z","until":"2026-01-01T00:10:01Z"}', 'until: a pause lasts at most 10m'],
    ['{"kind":"drain","__proto__":{"kind":"weight"}}', '"__proto__" is not a field of an override'],
  ])('%j is refused, and says why', (value, reason) => {
    expect(parseOverride(value)).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });

  test('takes out what it drains, puts in maintenance or gives the weight 0', () => {
    const out = (value: string) => {
      const override = parseOverride(value);
      return override.ok && takesOut(override.value);
    };
    expect(
      [
        '{"kind":"drain"}',
        '{"kind":"maintenance"}',
        '{"kind":"weight","weight":0}',
        '{"kind":"weight","weight":1}',
        '{"kind":"pause","until":"2100-01-01T00:00:00Z"}',
      ].map(out),
    ).toEqual([true, true, true, false, false]);
  });
});
