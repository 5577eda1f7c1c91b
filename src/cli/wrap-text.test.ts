import fc from 'fast-check';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { columnsOf, wrapText } from './wrap-text.ts';

test('a text is broken between words, and its further lines are indented', () => {
  expect(wrapText('one two  three four', 10, 2)).toBe('one two\n  three\n  four');
  expect(wrapText('one two', undefined)).toBe('one two');
  expect(wrapText('a-word-that-is-too-long b', 10, 2)).toBe('a-word-that-is-too-long\n  b');
});

test('colours take no columns', () => {
  const red = pc.createColors(true).red('one two');
  expect(columnsOf(red)).toBe(7);
  expect(wrapText(`${red} three`, 13)).toBe(`${red} three`);
});

test('no line of words that fit is too long, and no word is lost', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,20}$/), { minLength: 1 });
  fc.assert(
    fc.property(words, fc.integer({ min: 24, max: 80 }), (list, width) => {
      const lines = wrapText(list.join(' '), width, 4).split('\n');
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      expect(lines.flatMap((line) => line.trim().split(' '))).toEqual(list);
    }),
  );
});
