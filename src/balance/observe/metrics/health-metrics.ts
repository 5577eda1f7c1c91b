import type { MakeMetric } from './make-metric.ts';

/** Metrics of the health of the balancer, its disk and its own files. */
export const createHealthMetrics = ({ counter, gauge }: MakeMetric) => ({
  trouble: gauge('trouble', '1 while this part of the balancer fails; docs/runbook.md has the parts.', ['part']),
  ready: gauge('ready', '1 while HAProxy serves and nothing keeps changes from being applied, as /readyz says.'),
  storageFailed: gauge('storage_last_failed', '1 while the state cannot be written to disk.'),
  fileResults: counter('file_results_total', 'What came of making a file of `templates`, and of its reload.', [
    'dest',
    'result',
  ]),
  fileFailed: gauge('file_failed', '1 while a file of `templates` is not as it should be, or not in use.', ['dest']),
});
