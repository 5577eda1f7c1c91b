import type { MakeMetric } from '../metrics/make-metric.ts';

/** The metrics of `pointsman apply --watch`. */
export const applyMetrics = ({ counter, gauge }: MakeMetric) => ({
  results: counter('apply_results_total', 'Attempts to apply the files: `done` or `failed`.', ['result']),
  ready: gauge('apply_ready', '1 while the newest state of the files is applied, and every live balancer serves it.'),
  revision: gauge('apply_revision', 'Revision of the registry that was applied last.'),
});
