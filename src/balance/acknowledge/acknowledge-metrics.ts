import type { MakeMetric } from '../../metrics/make-metric.ts';

export type AcknowledgeMetrics = ReturnType<typeof acknowledgeMetrics>;

export const acknowledgeMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
  acknowledging: gauge('acknowledging', '1 while this balancer acknowledges to the registry what it serves.'),
  acknowledgements: counter('acknowledgements_total', 'Acknowledgements that this balancer wrote.'),
  acknowledgeSeconds: histogram(
    'acknowledge_duration_seconds',
    'Time from an event of the registry until its acknowledgement was written.',
  ),
  revisionAcknowledged: gauge('revision_acknowledged', 'Newest revision that this balancer has acknowledged.'),
  leasesGranted: counter(
    'leases_granted_total',
    "Leases granted for this balancer's own key; each lease after the first one replaces a lost lease.",
  ),
});
