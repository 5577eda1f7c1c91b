import type { MakeMetric } from './make-metric.ts';

/** Metrics of the HAProxy process and its certificates. */
export const createHaproxyMetrics = ({ counter, gauge }: MakeMetric) => ({
  haproxyStarts: counter('haproxy_starts_total', 'How often HAProxy was started.'),
  openFilesLimit: gauge('haproxy_open_files_limit', 'Files that HAProxy may have open at once (hard limit).'),
  mostConnections: gauge('haproxy_max_connections', 'Connections that HAProxy accepts at once (maxconn).'),
  certificateExpiry: gauge(
    'certificate_expiry_timestamp_seconds',
    'When a certificate that is served ends, in seconds since 1970.',
    ['certificate'],
  ),
  certificatesRefused: gauge('certificates_refused', 'Files of --certificates that cannot be used.'),
});
