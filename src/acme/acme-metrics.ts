import type { MakeMetric } from '../metrics/make-metric.ts';

export type AcmeMetrics = ReturnType<typeof acmeMetrics>;

export const acmeMetrics = (make: MakeMetric) => ({
  leader: make.gauge('acme_leader', 'Whether this balancer orders certificates for the fleet (1) or stands by (0).'),
  hosts: make.gauge('acme_hosts', 'Hosts that certificates are ordered for, or would be by a balancer with --acme.'),
  orders: make.counter(
    'acme_orders_total',
    'Attempts of orders of certificates that this balancer ended, by result (issued, failed).',
    ['result'],
  ),
  failing: make.gauge(
    'acme_hosts_failing',
    'Hosts whose last attempt to get a certificate failed, or whose private key the leader cannot open. Only the leader counts them; 0 elsewhere.',
  ),
  waiting: make.gauge(
    'acme_hosts_without_certificate',
    'Hosts that need a certificate and have none in the registry. Only the leader counts them; 0 elsewhere.',
  ),
  seconds: make.histogram(
    'acme_order_seconds',
    'Time from the begin of an attempt to the certificate in the registry.',
  ),
});
