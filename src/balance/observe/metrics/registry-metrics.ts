import type { MakeMetric } from './make-metric.ts';

/** Metrics of the connection to the registry and of revisions. */
export const createRegistryMetrics = ({ counter, gauge }: MakeMetric) => ({
  registryConnected: gauge('registry_connected', '1 while the registry is being followed.'),
  registryDisconnects: counter('registry_disconnects_total', 'How often the registry was lost.'),
  registryStale: gauge('registry_stale_seconds', 'How long ago the registry was followed last; 0 while it is.'),
  revisionSeen: gauge('revision_seen', 'The newest revision that the registry delivered.'),
  revisionApplied: gauge('revision_applied', 'The newest revision that HAProxy serves.'),
});
