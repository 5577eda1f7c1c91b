import type { MakeMetric } from '../../metrics/make-metric.ts';

export type AcknowledgeMetrics = ReturnType<typeof acknowledgeMetrics>;

export const acknowledgeMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
  acknowledging: gauge('acknowledging', '1 while others can hear from this balancer what it serves.'),
  acknowledgements: counter('acknowledgements_total', 'How often this balancer told what it serves.'),
  acknowledgeSeconds: histogram(
    'acknowledge_duration_seconds',
    'From an event of the registry until others could hear that it is served.',
  ),
  revisionAcknowledged: gauge(
    'revision_acknowledged',
    'The newest revision that others can wait for this balancer to serve.',
  ),
  leasesGranted: counter(
    'leases_granted_total',
    "Leases granted for this balancer's own key; each but the first, because the one before was lost.",
  ),
});
