import { expect, test } from 'vitest';
import type { Traffic } from '../haproxy/stat.ts';
import { addLook, type LatestRates, sumOf } from './latest-rates.ts';

const traffic = (requests: number, failed = 0, total = 5): Traffic => ({
  requests,
  answers: { '1xx': 0, '2xx': requests - failed, '3xx': 0, '4xx': 0, '5xx': failed, other: 0 },
  failures: { connect: 0, response: 0, retries: 0, redispatches: 0 },
  open: 0,
  queued: 0,
  meanMs: { queue: 0, connect: 0, response: total, total: total + 1000 },
});
const looks = (...all: readonly (readonly [number, Readonly<Record<string, Traffic | undefined>>])[]): LatestRates =>
  all.reduce<LatestRates>(
    (before, [at, services]) =>
      addLook(
        before,
        at,
        Object.entries(services).map(([name, counted]) => ({ name, traffic: counted })),
      ),
    new Map(),
  );

test('a rate is what was counted between two looks', () => {
  const rates = looks([100, { web: traffic(10) }], [102, { web: traffic(30, 4) }]);
  expect(rates.get('web')?.latest).toEqual({ requestsPerS: 10, errorsPerS: 2, meanMs: 5 });
});

test('a new worker of HAProxy counts from nothing', () => {
  const rates = looks([100, { web: traffic(1000) }], [102, { web: traffic(6) }]);
  expect(rates.get('web')?.latest?.requestsPerS).toBe(3);
});

test('a look without counters changes nothing, and a service that left is forgotten', () => {
  const rates = looks([100, { web: traffic(1), api: traffic(1) }], [102, { web: undefined }]);
  expect([...rates.keys()]).toEqual(['web']);
  expect(rates.get('web')?.latest).toBeUndefined();
  expect(sumOf(rates)).toBeUndefined();
});

test('all services together weigh their latency by their requests', () => {
  const rates = looks(
    [100, { a: traffic(0, 0, 10), b: traffic(0, 0, 40) }],
    [102, { a: traffic(4, 0, 10), b: traffic(2, 0, 40) }],
  );
  expect(sumOf(rates)).toEqual({ requestsPerS: 3, errorsPerS: 0, meanMs: 20 });
});
