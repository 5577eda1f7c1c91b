import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostileJson, hostileText } from '../../test/support/hostile.ts';
import { parseRecord } from './json.ts';

const printable = /^[\x20-\x7e]{3,600}$/;

describe('a JSON object', () => {
  test('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.dictionary(hostileText, fc.jsonValue({ maxDepth: 5 })), (object) => {
        const text = JSON.stringify(object);
        const parsed = parseRecord(text);
        if (!parsed.ok) throw new Error(parsed.reason);
        expect(Object.fromEntries(parsed.value)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('keeps __proto__ a name like any other', () => {
    const parsed = parseRecord('{"__proto__":{"x":1}}');
    expect(parsed.ok && parsed.value.get('__proto__')).toEqual({ x: 1 });
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test.each([
    ['{"a":1,"a":2}', '"a" is given twice'],
    ['{"a":1,"\\u0061":2}', '"a" is given twice'],
    ['{"b":{"a":1,"c":[{"a":1,"a":1}]}}', '"a" is given twice'],
    ['{"":1,"":1}', '"" is given twice'],
    [`{"a":${'['.repeat(16)}${']'.repeat(16)}}`, 'it is nested more than 16 levels deep'],
    [`{"a":${'['.repeat(700_000)}${']'.repeat(700_000)}}`, 'it is nested more than 16 levels deep'],
    ['[]', 'it is not a JSON object'],
    ['null', 'it is not a JSON object'],
  ])('%.40s: %s', (text, reason) => {
    expect(parseRecord(text)).toEqual({ ok: false, reason });
  });

  test.each([
    '',
    '{',
    '\ufeff{}',
    '{"a":0x50}',
    '{"a":080}',
    '{"a":+1}',
    "{'a':1}",
    '{"a":1}x',
    '{"a":1,}',
    '{"a":"\n"}',
  ])('%j is none', (text) => {
    expect(parseRecord(text)).toMatchObject({ ok: false, reason: expect.stringMatching(/^it is not JSON: /) });
  });

  test('equal names apart from each other are no double', () => {
    expect(parseRecord('{"a":{"a":[{"a":1},{"a":":\\"a\\":"}]},"b":"a"}').ok).toBe(true);
  });

  test('whatever it is, the answer is an answer', () => {
    fc.assert(
      fc.property(fc.oneof(hostileJson, hostileText), (text) => {
        const parsed = parseRecord(text);
        if (!parsed.ok) expect(parsed.reason).toMatch(printable);
      }),
      { numRuns: 2000 },
    );
  });
});
