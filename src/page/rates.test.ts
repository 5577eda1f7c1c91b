import { expect, test } from 'vitest';
import type { Traffic } from '../haproxy/stat.ts';
import { addLook, type RateHistory, sumOf } from './rates.ts';

const traffic = (requests: number, failed = 0, total = 5): Traffic => ({
  requests,
  answers: { '1xx': 0, '2xx': requests - failed, '3xx': 0, '4xx': 0, '5xx': failed, other: 0 },
  failures: { connect: 0, response: 0, retries: 0 },
  open: 0,
  queued: 0,
  meanMs: { queue: 0, connect: 0, response: total, total },
});
const looks = (...all: readonly (readonly [number, Readonly<Record<string, Traffic | undefined>>])[]): RateHistory =>
  all.reduce<RateHistory>(
    (history, [at, services]) =>
      addLook(
        history,
        at,
        Object.entries(services).map(([name, counted]) => ({ name, traffic: counted })),
      ),
    new Map(),
  );

test('a rate is what was counted between two looks', () => {
  const history = looks([100, { web: traffic(10) }], [102, { web: traffic(30, 4) }]);
  expect(history.get('web')?.samples).toEqual([{ at: 102, requestsPerS: 10, errorsPerS: 2, meanMs: 5 }]);
});

test('a new worker of HAProxy counts from nothing', () => {
  const history = looks([100, { web: traffic(1000) }], [102, { web: traffic(6) }]);
  expect(history.get('web')?.samples.at(-1)?.requestsPerS).toBe(3);
});

test('a look without counters changes nothing, and a service that left is forgotten', () => {
  const history = looks([100, { web: traffic(1), api: traffic(1) }], [102, { web: undefined }]);
  expect([...history.keys()]).toEqual(['web']);
  expect(history.get('web')?.samples).toEqual([]);
});

test('all services together weigh their latency by their requests', () => {
  const history = looks(
    [100, { a: traffic(0, 0, 10), b: traffic(0, 0, 40) }],
    [102, { a: traffic(4, 0, 10), b: traffic(2, 0, 40) }],
  );
  expect(sumOf(history)).toEqual([{ at: 102, requestsPerS: 3, errorsPerS: 0, meanMs: 20 }]);
});

test('history is bounded', () => {
  let history: RateHistory = new Map();
  for (let at = 0; at < 1000; at += 2) history = addLook(history, at, [{ name: 'web', traffic: traffic(at) }]);
  expect(history.get('web')?.samples).toHaveLength(150);
});
