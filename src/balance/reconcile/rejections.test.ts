import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Conflict } from '../../render/conflict.ts';
import { noRoutes } from '../../render/routes.ts';
import { reconcileMetrics } from './reconcile-metrics.ts';
import { Rejections } from './rejections.ts';

test('the log tells when a conflict begins and when it is over', () => {
  const lines: string[] = [];
  const nothing = function* () {};
  const none = { unserved: nothing, absent: nothing, of: () => undefined, count: 0 };
  const rejections = new Rejections({
    metrics: reconcileMetrics(makeMetric(new Registry())),
    logger: pino({}, { write: (line: string) => void lines.push(line) }),
    locating: none,
    openFiles: none,
  });
  const loser = 'beta' as ServiceName;
  const host: Conflict = { kind: 'host', host: 'a', others: ['b'], more: 1, winner: undefined, loser };
  const port: Conflict = { kind: 'port', port: 5432, because: undefined, winner: undefined, loser };
  const told = () => lines.splice(0).map((line) => [JSON.parse(line).event, JSON.parse(line).msg]);
  const [one, other] = [
    'beta does not get the hosts a, b: no claim allows them (claims/beta, else claims/*)',
    'beta does not get the port 5432: pointsman itself has it',
  ];
  rejections.conflicting([host, port], noRoutes);
  expect(told()).toEqual([
    ['conflict', one],
    ['conflict', other],
  ]);
  rejections.conflicting([port], noRoutes);
  expect(told()).toEqual([['conflict-over', `this conflict is over: ${one}`]]);
  rejections.conflicting([port], noRoutes);
  expect(told()).toEqual([]);
});
