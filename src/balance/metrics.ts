import type { Registry } from 'prom-client';
import { acmeMetrics } from '../acme/acme-metrics.ts';
import { fileMetrics } from '../files/metrics.ts';
import { makeMetric } from '../metrics/make-metric.ts';
import { acknowledgeMetrics } from './acknowledge/acknowledge-metrics.ts';
import { nameMetrics } from './addresses/name-lookups.ts';
import { ejectionMetrics } from './ejection/ejecting.ts';
import { guardMetrics } from './guard/guarding.ts';
import { heldMetrics } from './guard/held-entries.ts';
import { healthMetrics } from './health.ts';
import { troubleMetrics } from './observe/troubles.ts';
import { openFilesMetrics } from './open-files/open-files-limit.ts';
import { overrideMetrics } from './overrides/overriding.ts';
import { quarantineMetrics } from './quarantine/quarantining.ts';
import { reconcileMetrics } from './reconcile/reconcile-metrics.ts';
import { registryMetrics } from './registry-status.ts';
import { reloadMetrics } from './reload/reload-metrics.ts';
import { storageMetrics } from './state/storage.ts';
import { certificateMetrics } from './tls/certificates.ts';

export type BalanceMetrics = ReturnType<typeof createBalanceMetrics>;

/** The balancer's own metrics, by feature. Names and labels are stable. Times are in seconds, as Prometheus wants them. */
export function createBalanceMetrics(registry: Registry) {
  const make = makeMetric(registry);
  return {
    health: healthMetrics(make),
    trouble: troubleMetrics(make),
    reconcile: reconcileMetrics(make),
    reload: reloadMetrics(make),
    registry: registryMetrics(make),
    held: heldMetrics(make),
    guard: guardMetrics(make),
    ejection: ejectionMetrics(make),
    quarantine: quarantineMetrics(make),
    overrides: overrideMetrics(make),
    names: nameMetrics(make),
    openFiles: openFilesMetrics(make),
    acknowledge: acknowledgeMetrics(make),
    certificates: certificateMetrics(make),
    acme: acmeMetrics(make),
    storage: storageMetrics(make),
    files: fileMetrics(make),
  };
}
