import type { Registry } from 'prom-client';
import { createAcknowledgeMetrics } from './metrics/acknowledge-metrics.ts';
import { createCatalogMetrics } from './metrics/catalog-metrics.ts';
import { createChangeMetrics } from './metrics/change-metrics.ts';
import { createHaproxyMetrics } from './metrics/haproxy-metrics.ts';
import { createHealthMetrics } from './metrics/health-metrics.ts';
import { makeMetric } from './metrics/make-metric.ts';
import { createProtectionMetrics } from './metrics/protection-metrics.ts';
import { createRegistryMetrics } from './metrics/registry-metrics.ts';
import { createReloadMetrics } from './metrics/reload-metrics.ts';

export type BalanceMetrics = ReturnType<typeof createBalanceMetrics>;

/** The balancer's own metrics. Names and labels are stable. Times are in seconds, as Prometheus wants them. */
export function createBalanceMetrics(registry: Registry) {
  const make = makeMetric(registry);
  return {
    ...createReloadMetrics(make),
    ...createChangeMetrics(make),
    ...createRegistryMetrics(make),
    ...createAcknowledgeMetrics(make),
    ...createCatalogMetrics(make),
    ...createProtectionMetrics(make),
    ...createHaproxyMetrics(make),
    ...createHealthMetrics(make),
  };
}
