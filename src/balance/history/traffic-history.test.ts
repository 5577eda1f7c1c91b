import { expect, test } from 'vitest';
import type { Traffic } from '../../haproxy/stat.ts';
import { mostServices, TrafficHistory } from './traffic-history.ts';

const traffic = (requests: number, errors = 0): Traffic => ({
  requests,
  answers: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': errors, other: 0 },
  failures: { connect: 0, response: 0, retries: 0, redispatches: 0 },
  open: 0,
  queued: 0,
  meanMs: { queue: 0, connect: 0, response: 0, total: 4 },
});
const at = (nowMs: number) => ({ nowMs, wallMs: 1_700_000_000_000 + nowMs });
const isKnown = (history: TrafficHistory, name: string, nowMs: number) =>
  history.of(name, at(nowMs)).requestsPerS.some((one) => one !== null);
const rounded = (list: readonly (number | null)[] = []) => list.map((one) => one && Math.round(one));

test('each step has the requests and errors per second since the step before', () => {
  const history = new TrafficHistory();
  history.look(new Map([['web', traffic(1_000_000)]]), 20_000);
  history.look(new Map([['web', traffic(1_000_100, 20)]]), 30_000);
  history.look(new Map([['web', traffic(50)]]), 40_000);
  const web = history.of('web', at(43_000));
  expect(rounded(web.requestsPerS.slice(-4))).toEqual([null, 0, 10, 5]);
  expect(rounded(web.errorsPerS.slice(-3))).toEqual([0, 2, 0]);
  expect(web).toMatchObject({ stepS: 10, until: 1_700_000_040 });
  expect(rounded(history.of(undefined, at(43_000)).requestsPerS.slice(-3))).toEqual([0, 10, 5]);
});

test('a new service begins with its first requests, and one that HAProxy lost keeps its hour', () => {
  const history = new TrafficHistory();
  history.look(new Map(), 0);
  history.look(new Map([['web', traffic(0)]]), 10_000);
  expect(isKnown(history, 'web', 10_000)).toBe(false);
  history.look(new Map([['web', traffic(30)]]), 20_000);
  history.look(new Map(), 30_000);
  expect(rounded(history.of('web', at(30_000)).requestsPerS.slice(-2))).toEqual([3, null]);
  history.look(new Map(), 3_700_000);
  expect(isKnown(history, 'web', 3_700_000)).toBe(false);
});

test('percentiles are of the requests of the access log in that step', () => {
  const history = new TrafficHistory();
  history.look(new Map([['web', traffic(1)]]), 0);
  for (let ms = 1; ms <= 100; ms += 1) history.took('web', ms);
  history.took('a-stranger', 1);
  history.look(new Map([['web', traffic(101)]]), 10_000);
  history.look(new Map([['web', traffic(101)]]), 20_000);
  const web = history.of('web', at(20_000));
  expect(Math.abs((web.p95Ms.at(-2) ?? 0) - 95)).toBeLessThan(10);
  expect(web.p95Ms.at(-1)).toBeNull();
});

test('the number of services with a history is bounded', () => {
  const history = new TrafficHistory();
  const many = new Map(Array.from({ length: mostServices + 10 }, (_, i) => [`s${i}`, traffic(1)]));
  history.look(many, 0);
  const known = ['s0', `s${mostServices - 1}`, `s${mostServices}`].map((name) => isKnown(history, name, 0));
  expect(known).toEqual([true, true, false]);
});
