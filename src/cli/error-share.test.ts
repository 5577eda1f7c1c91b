import { expect, test } from 'vitest';
import { between, type Counted } from './error-share.ts';

const counted = (all: Readonly<Record<string, readonly [number, number]>>): Counted =>
  new Map(Object.entries(all).map(([at, [requests, failed]]) => [at, { requests, failed }]));

test('what happened between two counts is summed over balancers', () => {
  expect(between(counted({ 'b1/a': [10, 1], 'b2/a': [5, 0] }), counted({ 'b1/a': [15, 2], 'b2/a': [9, 3] }))).toEqual({
    requests: 9,
    failed: 4,
  });
});

test('a new worker, and an instance that is new, count from nothing', () => {
  expect(between(counted({ 'b1/a': [1000, 10] }), counted({ 'b1/a': [3, 1], 'b1/b': [2, 0] }))).toEqual({
    requests: 5,
    failed: 1,
  });
});
