import type { MakeMetric } from '../../metrics/make-metric.ts';

export type ReloadMetrics = ReturnType<typeof reloadMetrics>;

export const reloadMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
  reloads: counter('reloads_total', 'Reloads of HAProxy, by result (ok, refused, failed).', ['result']),
  reloadReasons: counter('reload_reasons_total', 'Reasons for reloads; one reload can have several.', ['reason']),
  reloadFailed: gauge(
    'reload_last_failed',
    '1 while HAProxy serves an older configuration because it refused the newest.',
  ),
  reloadSeconds: histogram('reload_duration_seconds', 'Time from the start of the check until the new worker serves.'),
  pacedServices: gauge('paced_services', 'Services whose changes wait because they needed many reloads.'),
  oldWorkers: gauge('haproxy_old_workers', 'Workers of earlier reloads that still have connections.'),
});
