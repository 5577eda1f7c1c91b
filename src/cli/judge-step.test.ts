import { expect, test } from 'vitest';
import { judgeStep } from './judge-step.ts';

const judge = (requests: number, failed: number, elapsedMs: number, more: object = {}) =>
  judgeStep({ ...{ requests, failed, elapsedMs, stepMs: 1000, limit: 0.05, allowFew: false }, ...more });

test('a step with too few requests is extended up to five times its duration, and then does not pass', () => {
  expect(judge(10, 0, 999)).toBe('watch');
  expect(judge(10, 0, 1000)).toBe('extend');
  expect(judge(19, 0, 4999)).toBe('extend');
  expect(judge(20, 0, 4999)).toBe('held');
  expect(judge(0, 0, 5000)).toBe('few');
  expect(judge(10, 0, 1000, { allowFew: true })).toBe('held');
});

test('failures that are over the limit at twenty requests too end a step at once', () => {
  expect(judge(10, 3, 1)).toBe('errors');
  expect(judge(18, 7, 1, { allowFew: true })).toBe('errors');
  expect(judge(2, 2, 1)).toBe('errors');
  expect(judge(3, 1, 1)).toBe('watch');
  expect(judge(20, 1, 1000)).toBe('held');
  expect(judge(20, 2, 1)).toBe('errors');
});

test('without a limit a step passes after its duration', () => {
  expect(judge(0, 0, 999, { limit: undefined })).toBe('watch');
  expect(judge(3, 3, 1000, { limit: undefined })).toBe('held');
});
