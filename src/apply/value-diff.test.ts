import { expect, test } from 'vitest';
import { fieldDiffs } from './value-diff.ts';

const lines = (before: unknown, after: unknown): readonly string[] =>
  fieldDiffs(before, after).map(
    (one) => `${one.path}: ${JSON.stringify(one.before) ?? '-'} → ${JSON.stringify(one.after) ?? '-'}`,
  );

test('a diff names the field that changed, however deep it is', () => {
  expect(lines({ check: { kind: 'http', path: '/' } }, { check: { kind: 'http', path: '/health' } })).toEqual([
    'check.path: "/" → "/health"',
  ]);
  expect(lines({ hosts: ['a', 'b'] }, { hosts: ['a', 'c'] })).toEqual(['hosts[1]: "b" → "c"']);
});

test('an element that is put in front of a list is one difference', () => {
  expect(lines({ hosts: ['a', 'b'] }, { hosts: ['z', 'a', 'b'] })).toEqual(['hosts[0]: - → "z"']);
  expect(lines({ hosts: ['z', 'a', 'b'] }, { hosts: ['z', 'b'] })).toEqual(['hosts[1]: "a" → -']);
});

test('the order of names is no difference, and a field that became a list is one', () => {
  expect(lines({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 })).toEqual([]);
  expect(lines({ a: { b: 1 } }, { a: [1] })).toEqual(['a: {"b":1} → [1]']);
});

test('a value that is new or gone has a line for each of its fields', () => {
  expect(lines(undefined, { hosts: ['a'], check: { kind: 'none' } })).toEqual([
    'hosts: - → ["a"]',
    'check: - → {"kind":"none"}',
  ]);
  expect(lines({ 'a.b': 1 }, undefined)).toEqual(['"a.b": 1 → -']);
});
