import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { RenderedBackend } from '../render/rendered.ts';
import { type FirstCheckRule, firstCheckOf, noFirstChecks } from './newcomers.ts';

const id = (text: string) => text as InstanceId;
function backend(lines: Readonly<Record<string, string>>): RenderedBackend {
  const servers = PersistentMap(Object.entries(lines).map(([name, text]) => [id(name), `server ${name} ${text}`]));
  return { name: 'web' as ServiceName, section: { before: '', indent: '', after: '' }, servers };
}
const unproven: FirstCheckRule = { ...noFirstChecks, unproven: () => true };
const a = '10.0.0.1:80 weight 100 check inter 2s';
const b = '10.0.0.2:80 weight 100 check inter 2s';
const must = (before: Record<string, string>, after: Record<string, string>, rule = unproven) =>
  firstCheckOf(backend(before), backend(after), rule)(id('b'));

test('a server that is new beside one that serves is checked first', () => {
  expect(must({ a }, { a, b })).toBe(true);
});

test.each([
  ['that is known already', { a, b }, { a, b }],
  ['whose weight changed', { a, b }, { a, b: b.replace('100', '50') }],
  ['without a check', { a }, { a, b: '10.0.0.2:80 weight 100 check-sni x' }],
  ['in maintenance', { a }, { a, b: `${b} disabled` }],
  ['that gets a weight', { a, b: b.replace('100', '0') }, { a, b }],
  ['that is alone', {}, { b }],
  ['that replaces all others', { a }, { b }],
  ['beside one that is new as well', {}, { a, b }],
  ['beside one that drains', { a }, { a: a.replace('100', '0'), b }],
  ['beside one in maintenance', { a: `${a} disabled` }, { a: `${a} disabled`, b }],
])('a server %s is not', (_, before, after) => {
  expect(must(before, after)).toBe(false);
});

test('a server that is new and has no weight is checked, so that it may get one', () => {
  const drained = b.replace('100', '0');
  expect(must({ a }, { a, b: drained })).toBe(true);
  expect(must({}, { b: drained })).toBe(true);
  expect(must({ a }, { a, b: drained }, noFirstChecks)).toBe(false);
});

test.each([
  ['has another address', b.replace('.2', '.3')],
  ['comes back from maintenance', `${b} disabled`],
])('a server that %s is checked first', (_, former) => {
  expect(must({ a, b: former }, { a, b })).toBe(true);
});

test('a server that waits for its first check is nobody to wait beside, and one that was checked does not wait', () => {
  expect(must({ a }, { a, b }, { ...unproven, waits: (_, other) => other === 'a' })).toBe(false);
  expect(must({ a }, { a, b }, noFirstChecks)).toBe(false);
});

test('a server beside thousands that do not serve is checked first, if one serves', () => {
  const idle = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`idle-${i}`, `${a} disabled`]));
  expect(must({ ...idle, a }, { ...idle, a, b })).toBe(true);
  expect(must(idle, { ...idle, b })).toBe(false);
});
