import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableJson, printableLines } from './printable.ts';

const anyText = fc.string({ unit: 'binary' });
// Written from code points, so that nothing here steers the terminal of whoever reads it.
const text = (...codes: readonly number[]) => codes.map((code) => String.fromCodePoint(code)).join('');

test.each([
  ['a colour', text(0x1b, 0x5b, 0x33, 0x31, 0x6d), '\\u001b[31m'],
  ['the title of a window', text(0x1b, 0x5d, 0x30, 0x3b, 0x78, 0x07), '\\u001b]0;x\\u0007'],
  ['CSI in one character', text(0x9b, 0x32, 0x4a), '\\u009b2J'],
  ['OSC in one character', text(0x9d), '\\u009d'],
  ['delete', text(0x7f), '\\u007f'],
  ['a carriage return', text(0x0d), '\\u000d'],
  ['a newline', text(0x0a), '\\u000a'],
  ['right to left', text(0x202e), '\\u202e'],
  ['an isolate', text(0x2066), '\\u2066'],
  ['nothing that is seen', text(0x200b), '\\u200b'],
  ['a line separator', text(0x2028), '\\u2028'],
  ['half of a pair', text(0xd800), '\\ud800'],
  ['a tag', text(0xe0041), '\\udb40\\udc41'],
])('%s is escaped', (_, given, shown) => {
  expect(printable(given)).toBe(shown);
});

test.each(['web/web-1: "x"', 'größer', 'Привет', '東京', '🚂', text(0x1f468, 0x200d, 0x1f373)])('%s stays', (given) => {
  expect(printable(given)).toBe(given);
  expect(printableLines(given)).toBe(given);
});

const dangerous = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

test('nothing that steers a terminal is left in any text', () => {
  fc.assert(fc.property(anyText, (given) => !dangerous.test(printable(given))));
});

test('of lines only newlines, tabs and colours are left', () => {
  const green = text(0x1b, 0x5b, 0x33, 0x32, 0x6d);
  expect(printableLines(`a\n\t${green}b`)).toBe(`a\n\t${green}b`);
  // Cursor movements, concealed text, and sequences that only begin like ours.
  for (const after of ['[2J', '[8m', '[31', '[31;8m', ']0;x', 'c'])
    expect(printableLines(text(0x1b) + after)).toBe(`\\u001b${after}`);
  fc.assert(
    fc.property(anyText, (given) => {
      const left = printableLines(given).replace(/\u001b\[\d+m|[\n\t]/g, '');
      return !dangerous.test(left);
    }),
  );
});

test('JSON holds the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), anyText, (value, more) => {
      const json = printableJson({ value, more });
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ value, more })));
      expect(json).not.toMatch(dangerous);
    }),
  );
});
