import { expect, test } from 'vitest';
import { parseBoundedRegex } from './bounded-regex.ts';

test.each([
  '^(1|true)$',
  '^/users/([0-9]+)$',
  '^/api/([^/]+)/([^/]+)/(.*)$',
  '^/old(/.*)?$',
  'Mobile|Android',
  '^v[0-9]+\\.[0-9]+$',
  '^[a-z]{2}(?:-[A-Z]{2})?$',
  '\\d{3}',
  '^(?:ab)+$',
  '^[^;]+; q=0\\.\\d',
])('%s is bounded', (text) => {
  expect(parseBoundedRegex(text)).toMatchObject({ ok: true });
});

test.each([
  ['(a+)+$', 'is repeated'],
  ['^(a|a)*$', 'is repeated'],
  ['^(a|ab)(c|bcd)(d*)*$', 'is repeated'],
  ['(.*)(.*)(.*)x', 'take the same text'],
  ['^.*a.*b.*c$', 'take the same text'],
  ['^([a-z]+)([a-z]+)([a-z]+)([a-z]+)$', 'take the same text'],
  [`^${'a?'.repeat(20)}${'a'.repeat(20)}$`, 'several ways'],
  [`^${'(a|a)'.repeat(10)}$`, 'several ways'],
  ['(?=a)', 'only "(?:"'],
  ['(a)\\1', '"\\1" is not possible'],
  ['a++', 'possessive'],
  ['a**', 'follows another one'],
  ['a{1000}', 'more than 64 times'],
  ['[[:alpha:]]', 'needs a "\\"'],
  ['(a', 'missing'],
  ['a)', 'too many'],
  ['[a', 'ends within'],
  ['\\', 'ends within'],
  ['^*', 'follows "^"'],
  ['', '1 to 256'],
  ['ä', 'printable ASCII'],
  ['\\b', 'not possible'],
  ['x{a', 'no quantifier'],
])('%s is refused', (text, reason) => {
  const parsed = parseBoundedRegex(text);
  expect(parsed.ok ? 'accepted' : parsed.reason).toContain(reason);
});

test('an expression counts its groups', () => {
  expect(parseBoundedRegex('^/(a)/(?:b)/(c(d))$')).toMatchObject({ value: { groups: 3 } });
});
