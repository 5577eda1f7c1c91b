import type { MakeMetric } from '../../metrics/make-metric.ts';

export type ReloadMetrics = ReturnType<typeof reloadMetrics>;

export const reloadMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
  reloads: counter('reloads_total', 'Reloads of HAProxy, by result (ok, refused, failed).', ['result']),
  reloadReasons: counter('reload_reasons_total', 'Why reloads were needed; one reload can have many.', ['reason']),
  reloadFailed: gauge('reload_last_failed', '1 while the newest configuration was refused and an older one serves.'),
  reloadSeconds: histogram('reload_duration_seconds', 'From the start of the check until the new worker serves.'),
  pacedServices: gauge('paced_services', 'Services whose changes that need a reload wait, for they have needed many.'),
  oldWorkers: gauge('haproxy_old_workers', 'Workers of earlier reloads that still finish connections.'),
});
