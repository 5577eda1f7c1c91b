import { expect, test } from 'vitest';
import { nearest } from './nearest.ts';

const flags = ['ttl', 'registry', 'root', 'service', 'reload-interval'];

test.each([
  ['tll', 'ttl'],
  ['regsitry', 'registry'],
  ['reload-intervall', 'reload-interval'],
  ['SERVICE', 'service'],
  ['colour', undefined],
  ['x', undefined],
])('%s is nearest to %s', (word, expected) => {
  expect(nearest(word, flags)).toBe(expected);
});
