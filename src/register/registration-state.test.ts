import { expect, test } from 'vitest';
import { stateOf } from './registration-state.ts';

type Facts = Parameters<typeof stateOf>[0];
const announced: Facts = {
  desired: 'announced',
  applied: true,
  refusal: undefined,
  otherOwner: undefined,
  unhealthy: undefined,
};

test.each<[string, Partial<Facts>]>([
  ['announced', {}],
  ['pending', { applied: false }],
  ['refused', { applied: false, otherOwner: 'web/a is registered by another process' }],
  ['announced', { otherOwner: 'the log said so once, and the key is ours again' }],
  ['refused', { refusal: 'permission denied' }],
  ['draining', { desired: 'drained' }],
  ['waiting', { desired: 'withdrawn' }],
  ['leaving', { desired: 'gone', applied: false }],
  ['leaving', { desired: 'dropped', applied: false }],
  ['refused', { desired: 'gone', applied: false, refusal: 'permission denied' }],
])('an instance is %s with %j', (state, facts) => {
  expect(stateOf({ ...announced, ...facts }).state).toBe(state);
});

test('a refusal, and a health check that fails, are the reasons', () => {
  expect(stateOf({ ...announced, refusal: 'permission denied' }).reason).toBe('permission denied');
  expect(stateOf({ ...announced, desired: 'withdrawn', unhealthy: 'connection refused' }).reason).toBe(
    'connection refused',
  );
});
