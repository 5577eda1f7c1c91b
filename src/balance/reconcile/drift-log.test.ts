import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { makeMetric } from '../../metrics/make-metric.ts';
import { DriftLog } from './drift-log.ts';
import { reconcileMetrics } from './reconcile-metrics.ts';

test('what differed is told for a quarter of an hour, and how often it did', async () => {
  let now = 0;
  const registry = new Registry();
  const metrics = reconcileMetrics(makeMetric(registry));
  const drift = new DriftLog({ metrics, logger: pino({ level: 'silent' }), now: () => now });
  expect(drift.status()).toBeUndefined();
  drift.found(['web/a is gone']);
  now = 1000;
  drift.found(Array.from({ length: 30 }, (_, i) => `web/${i} is gone`));
  now = 3000;
  const differences = Array.from({ length: 10 }, (_, i) => `web/${i} is gone`);
  expect(drift.status()).toEqual({ times: 2, ageMs: 2000, count: 30, differences });
  now = 900_500;
  expect(drift.status()).toMatchObject({ times: 1, ageMs: 899_500 });
  now = 901_000;
  expect(drift.status()).toBeUndefined();
  expect(await registry.metrics()).toContain('pointsman_drift_total 31');
});
