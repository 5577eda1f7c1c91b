import { expect, test } from 'vitest';
import { parsePolicy } from '../policy.ts';
import { parseRouteTarget } from '../route-target.ts';
import { describeMatch, isMatchText, matchText } from './match.ts';

const parse = (match: unknown) => parsePolicy(JSON.stringify({ match }));

const textOf = (match: unknown): string => {
  const parsed = parse(match);
  if (!parsed.ok) throw new Error(parsed.reason);
  const [route] = parsed.value.routes;
  return route?.match === undefined ? '' : matchText(route.match);
};

test('a match is one word of the route map, and reads back as people wrote it', () => {
  const text = textOf({
    query: { b: { regex: '^(1|true)$' } },
    method: ['POST', 'GET', 'GET'],
    headers: { 'X-Version': 'a "b"; c/d?' },
    cookies: { tenant: { prefix: '' } },
  });
  expect(text).toBe('m:GET,POST&cp:tenant:&he:x-version:a%20%22b%22%3B%20c%2Fd%3F&qr:b:%5E%281%7Ctrue%29%24');
  expect(isMatchText(text)).toBe(true);
  expect(parseRouteTarget(`web/0/${text}`)).toMatchObject({ ok: true });
  expect(isMatchText(text) && describeMatch(text)).toBe(
    'method GET or POST, cookie tenant begins with "", header x-version "a \\"b\\"; c/d?", query b matches "^(1|true)$"',
  );
});

test('equal matches have equal texts, however they are written', () => {
  const headers = { 'X-B': '1', 'X-A': { exact: '2' } };
  expect(textOf({ headers, method: 'GET' })).toBe(textOf({ method: ['GET'], headers: { 'x-a': '2', 'x-b': '1' } }));
});

test.each([
  [{}, 'it has no condition'],
  [{ headers: {} }, 'it has no condition'],
  [{ method: 'get' }, 'in capitals'],
  [{ method: [] }, 'match.method'],
  [{ headers: { 'a b': '1' } }, 'is not a header name'],
  [{ headers: { a: '' } }, 'it is empty'],
  [{ headers: { a: 'ä' } }, 'not printable ASCII'],
  [{ headers: { a: 'x\r\ny' } }, 'not printable ASCII'],
  [{ headers: { a: { exact: '1', prefix: '1' } } }, 'it needs one of'],
  [{ headers: { a: {} } }, 'it needs one of'],
  [{ headers: { a: { regex: '(a+)+' } } }, 'is repeated'],
  [{ query: { 'a&b': '1' } }, 'is not a query parameter'],
  [{ path: '/x' }, 'is not a field of'],
  [{ headers: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x-${i}`, '1'])) }, 'more than 16 conditions'],
  [
    { headers: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x-${i}`, '/'.repeat(256)])) },
    'longer than 4096',
  ],
])('the match %j is refused', (match, reason) => {
  const parsed = parse(match);
  expect(parsed.ok ? 'accepted' : parsed.reason).toContain(reason);
});

test.each([
  'web/0/',
  'web/0/x',
  'web/0/he:a:b c',
  'web/-/m:GET',
  '?/web/0/short',
  '?/web/x/0123456789abcdef',
  '?/a b/0/0123456789abcdef',
])('the map value %s is not one of pointsman', (text) => {
  expect(parseRouteTarget(text).ok).toBe(false);
});
