import type { Registry } from 'prom-client';
import { type MakeMetric, makeMetric } from '../metrics/make-metric.ts';

export type FileMetrics = ReturnType<typeof fileMetrics>;
export type FilesMetrics = ReturnType<typeof createFilesMetrics>;

/** The metrics of the files of `templates`, for `pointsman files` and for a balancer. */
export const fileMetrics = ({ counter, gauge }: MakeMetric) => ({
  fileResults: counter('file_results_total', 'Results of making a file of `templates` and of its reload.', [
    'dest',
    'result',
  ]),
  fileFailed: gauge('file_failed', '1 while a file of `templates` is not up to date, or not in use.', ['dest']),
});

/** The metrics of `pointsman files`. A balancer has metrics with the same names. */
export function createFilesMetrics(registry: Registry) {
  const make = makeMetric(registry);
  const { gauge } = make;
  return {
    registryConnected: gauge('registry_connected', '1 while this balancer follows the registry.'),
    revisionSeen: gauge('revision_seen', 'Newest revision that the registry delivered.'),
    ...fileMetrics(make),
    held: gauge('held_entries', 'Held entries: the registry no longer has them, and files still use them.'),
  };
}
