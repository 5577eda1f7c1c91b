import { expect, test } from 'vitest';
import { describeStopping } from './describe-stopping.ts';

test.each([
  ['with its limit', { a: 90_000 }, undefined, 'stopping a (the engine kills it after 1m 30s)'],
  ['with one limit for all', { a: 10_000, b: 10_000 }, undefined, 'stopping a, b (the engine kills them after 10s)'],
  [
    'with the longest limit',
    { a: 10_000, b: 90_000 },
    undefined,
    'stopping a, b (the engine kills them after at most 1m 30s)',
  ],
  ['with the engine', { a: 10_000 }, 'unix:///b.sock', 'stopping a at unix:///b.sock (the engine kills it after 10s)'],
  ['without a limit that there is not', { a: -1000, b: 10_000 }, undefined, 'stopping a, b'],
  ['without a limit that is not known', { a: undefined }, undefined, 'stopping a'],
])('a stop is told %s', (_, limits, engine, text) => {
  const containers = Object.entries(limits).map(([name, stopTimeoutMs]) => ({ name, stopTimeoutMs }));
  expect(describeStopping(containers, engine)).toBe(text);
});
