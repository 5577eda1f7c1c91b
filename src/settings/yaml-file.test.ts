import { expect, test } from 'vitest';
import { parseSettingsFile } from './yaml-file.ts';

test.each([
  ['ttl: "1s', /^p\.yaml:1:\d+: it is not YAML: /],
  ['ttl: 1s\nttl: 2s\n', /^p\.yaml:2:1: it is not YAML: Map keys must be unique$/],
  ['- ttl\n', /^p\.yaml:1:1: it is not a mapping of settings$/],
  ['ttl: &a [*a]\n', /^p\.yaml:1:\d+: it is nested more than 16 deep$/],
  ['[a]: b\n', /^p\.yaml:1:1: a field name must be a word$/],
  ['ttl: 1s\nservice: [[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]\n', /^p\.yaml:2:\d+: it is nested more than 16 deep$/],
])('a file that is no settings file is refused with its place: %j', (text, line) => {
  expect(() => parseSettingsFile('p.yaml', text)).toThrow(expect.objectContaining({ code: 'settings' }));
  try {
    parseSettingsFile('p.yaml', text);
  } catch (error) {
    expect(String(error)).toMatch(line);
  }
});

/** So many lists, each of so many times the one before. */
function aliases(lists: number, times: number): string {
  const list = (i: number) =>
    `l${i}: &l${i} [${Array(times)
      .fill(i === 0 ? 'x' : `*l${i - 1}`)
      .join()}]\n`;
  return Array.from({ length: lists }, (_, i) => list(i)).join('');
}

test('aliases that stand for more than any file could hold are refused', () => {
  expect(() => parseSettingsFile('p.yaml', aliases(9, 9))).toThrow(/^it has more than 10000 values$/);
});

// Each of these ended the process, or was told as an error of the stack, when a document was made of it first.
test.each([
  ['brackets', `a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ['brackets that nobody closes', `a: ${'['.repeat(20_000)}`],
  ['braces', `a: ${'{a: '.repeat(20_000)}1${'}'.repeat(20_000)}`],
  ['dashes', `a:\n  ${'- '.repeat(20_000)}x`],
  ['question marks', `a:\n  ${'? '.repeat(20_000)}x`],
  ['lines', Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
])('a file that is nested deeper than any setting is refused with its place: %s', (_, text) => {
  expect(() => parseSettingsFile('p.yaml', text)).toThrow(
    expect.objectContaining({
      code: 'settings',
      message: 'it is nested more than 16 deep',
      where: expect.stringMatching(/^p\.yaml:(1|2|1[78]):\d+$/),
    }),
  );
});

test('an empty file sets nothing', () => {
  expect(parseSettingsFile('p.yaml', '# nothing yet\n').fields.size).toBe(0);
});
