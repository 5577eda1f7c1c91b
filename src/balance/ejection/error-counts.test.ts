import { expect, test } from 'vitest';
import type { ServerTraffic } from '../../haproxy/stat.ts';
import { type ErrorCounts, lookAtErrors } from './error-counts.ts';

const server = (markedDown: number, errors: number, status = 'DOWN', good = 0): ServerTraffic => ({
  ...{
    status,
    check: 'HANA',
    checkDetail: '',
    weight: 1,
    backup: false,
    markedDown,
    sinceS: 0,
    requests: 0,
    open: 0,
    queued: 0,
  },
  answers: { '1xx': 0, '2xx': good, '3xx': 0, '4xx': 0, '5xx': errors, other: 0 },
  failures: { connect: 0, response: 0, retries: 0, redispatches: 0 },
  meanMs: { queue: 0, connect: 0, response: 0, total: 0 },
});

const common = { mode: 'http', settings: { errors: 5, withinMs: 10_000 } } as const;

/** The servers that were marked down, look by look, at a within of 10 s. */
function looks(...seen: readonly { at: number; pid?: number; a: ServerTraffic }[]) {
  let counts: ErrorCounts | undefined;
  return seen.map(({ at, pid = 1, a }) => {
    const look = lookAtErrors(counts, { ...common, now: at, workerPid: pid, traffic: new Map([['a', a]]) });
    counts = look.counts;
    return look.marked.map(({ recent }) => recent);
  });
}

test('marks a server that HAProxy took down once, with its errors of the last ten seconds', () => {
  const marked = looks(
    { at: 0, a: server(0, 3, 'UP') },
    { at: 5000, a: server(0, 4, 'UP') },
    { at: 11_000, a: server(0, 4, 'UP') },
    { at: 16_000, a: server(1, 9) },
    { at: 17_000, a: server(1, 9, 'UP') },
  );
  expect(marked).toEqual([[], [], [], [5], []]);
});

test('a server that HAProxy told of counts at the first look too', () => {
  const traffic = new Map([['a', server(1, 5)]]);
  const told = lookAtErrors(undefined, { ...common, now: 0, workerPid: 1, traffic, told: 'a' });
  expect(told.marked).toEqual([{ id: 'a', recent: 5 }]);
});

test('at the first look nothing is known of before, and a new worker counts from 0', () => {
  expect(looks({ at: 0, a: server(7, 90) })).toEqual([[]]);
  const marked = looks({ at: 0, a: server(2, 90, 'UP') }, { at: 1000, pid: 2, a: server(1, 5) });
  expect(marked).toEqual([[], [5]]);
});

test('a server that a check brought up again by then counts as well', () => {
  expect(looks({ at: 0, a: server(0, 0, 'UP') }, { at: 1000, a: server(1, 5, 'UP') })).toEqual([[], [5]]);
});

test('errors in a row that are further apart than health checks count over several looks, and once', () => {
  const slow = [0, 1, 2, 3, 4, 5, 6].map((n) => ({ at: n * 1500, a: server(0, n, 'UP', 7) }));
  expect(looks(...slow)).toEqual([[], [], [], [], [], [5], []]);
});

test('a good answer in between starts the count again, and so do errors that are too old', () => {
  const mixed = [0, 1, 2, 3, 4, 5, 6].map((n) => ({ at: n * 1500, a: server(0, n, 'UP', n < 3 ? 7 : 8) }));
  expect(looks(...mixed).flat()).toEqual([]);
  const old = [0, 1, 2, 3, 4, 5, 6].map((n) => ({ at: n * 3000, a: server(0, n, 'UP') }));
  expect(looks(...old).flat()).toEqual([]);
});

test('a connection of a tcp service that is open is no good answer, and one that ended without an error is', () => {
  const tcp = (requests: number, failed: number, open: number): ServerTraffic => ({
    ...server(0, 0, 'UP'),
    requests,
    open,
    failures: { connect: failed, response: 0, retries: 0, redispatches: 0 },
  });
  const seen = (...traffic: readonly ServerTraffic[]) => {
    let counts: ErrorCounts | undefined;
    return traffic.flatMap((a, n) => {
      const look = { ...common, mode: 'tcp' as const, now: n * 1000, workerPid: 1, traffic: new Map([['a', a]]) };
      const { marked, counts: next } = lookAtErrors(counts, look);
      counts = next;
      return marked.map(({ recent }) => recent);
    });
  };
  expect(seen(tcp(1, 0, 0), tcp(7, 5, 1))).toEqual([5]);
  expect(seen(tcp(1, 0, 0), tcp(7, 5, 0))).toEqual([]);
});
