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
  '^/users/([0-9]+)/orders$',
  '^/old/(.*)$',
  '^/old(?:/(.*))?$',
  '\\.(jpg|png|css)$',
  '^Mozilla/5\\.0 .*iPhone',
  '^/([a-z]{2})/(.*)$',
  '^/blog/([0-9]{4})/([0-9]{2})/(.*)$',
  '^/u/([0-9]+)(/.*)?$',
  '^/(.*)/old/(.*)$',
  '^/lift(.*)$',
  '^(?:[a-z]+\\.)?example\\.com$',
  '[0-9]{1,3}$',
  '\\.php$',
])('%s is bounded', (text) => {
  expect(parseBoundedRegex(text)).toMatchObject({ ok: true });
});

test.each([
  ['(a+)+$', 'is repeated'],
  ['^(a|a)*$', 'is repeated'],
  ['^(a|ab)(c|bcd)(d*)*$', 'is repeated'],
  ['(.*)(.*)(.*)x', 'steps for a text of'],
  ['^.*a.*b.*c$', 'steps for a text of'],
  ['^([a-z]+)([a-z]+)([a-z]+)([a-z]+)$', 'steps for a text of'],
  [`^${'a?'.repeat(20)}${'a'.repeat(20)}$`, 'steps for a text of'],
  [`^${'(a|a)'.repeat(16)}$`, 'steps for a text of'],
  ['^[a-z]*[a-y]*[a-x]*[0-9]', 'steps for a text of 2048'],
  ['^/[a-z]*[a-y]*[0-9A]', 'steps for a text of'],
  ['^[a-z]*[A-Z]*[0-9]*$|^.*[a-z]+[0-9]', 'steps for a text of'],
  ['^(q)|.*a.*(\\d)', 'steps for a text of'],
  ['^(q)|.*a', 'steps for a text of'],
  ['[a-z]+[0-9]', 'begin it, and each alternative, with "^"'],
  // A class may match only characters that are not ASCII.
  ['^[^ -~]*[^ -~]*[^ -~]*x', 'steps for a text of'],
  ['^[^a]*[\\S]*x', 'steps for a text of'],
  ['^.*(a{64}b{64})', 'steps for a text of'],
  ['a|b^', '"^" is possible only at the beginning'],
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
