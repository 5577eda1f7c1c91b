import { expect, test } from 'vitest';
import type { ServerTraffic } from '../../haproxy/stat.ts';
import { type ErrorCounts, lookAtErrors } from './error-counts.ts';

const server = (markedDown: number, errors: number, status = 'DOWN'): ServerTraffic => ({
  ...{ status, check: 'HANA', checkDetail: '', markedDown, sinceS: 0, requests: 0, open: 0, queued: 0 },
  answers: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': errors, other: 0 },
  failures: { connect: 0, response: 0, retries: 0 },
  meanMs: { queue: 0, connect: 0, response: 0, total: 0 },
});

/** The servers that were marked down, look by look, at a within of 10 s. */
function looks(...seen: readonly { at: number; pid?: number; a: ServerTraffic }[]) {
  let counts: ErrorCounts | undefined;
  return seen.map(({ at, pid = 1, a }) => {
    const look = lookAtErrors(counts, at, pid, new Map([['a', a]]), 10_000);
    counts = look.counts;
    return look.marked.map(({ recent }) => recent);
  });
}

test('a server that HAProxy took down is told once, with the errors of the last ten seconds', () => {
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
  const told = lookAtErrors(undefined, 0, 1, new Map([['a', server(1, 5)]]), 10_000, 'a');
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
