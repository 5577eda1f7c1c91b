import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const stageBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export type BalanceMetrics = ReturnType<typeof createBalanceMetrics>;

/** The balancer's own metrics; names and labels are stable. Times are in seconds, as Prometheus wants them. */
export function createBalanceMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name: `pointsman_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name: `pointsman_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Histogram({ name: `pointsman_${name}`, help, labelNames, buckets: stageBuckets, registers });
  return {
    reloads: counter('reloads_total', 'Reloads of HAProxy, by result (ok, refused, failed).', ['result']),
    reloadReasons: counter('reload_reasons_total', 'Why reloads were needed; one reload can have many.', ['reason']),
    reloadFailed: gauge('reload_last_failed', '1 while the newest configuration was refused and an older one serves.'),
    reloadSeconds: histogram('reload_duration_seconds', 'From the start of the check until the new worker serves.'),
    changes: counter('changes_applied_total', 'Instances and policies that changed and were applied.'),
    steps: counter('steps_total', 'Changes made by the runtime API, by kind and outcome.', ['kind', 'outcome']),
    applySeconds: histogram('apply_duration_seconds', 'From an event of the registry until HAProxy served it.'),
    stageSeconds: histogram('stage_duration_seconds', 'Of apply_duration_seconds: waiting, rendering, commands.', [
      'stage',
    ]),
    propagationSeconds: histogram(
      'propagation_seconds',
      'From the writing of a registration, by the clock of its machine, until HAProxy served it.',
    ),
    acknowledgeSeconds: histogram(
      'acknowledge_duration_seconds',
      'From an event of the registry until others could hear that it is served.',
    ),
    registryStale: gauge('registry_stale_seconds', 'How long ago the registry was followed last; 0 while it is.'),
    instances: gauge('instances', 'Instances that are served, by service.', ['service']),
    services: gauge('services', 'Services that are served.'),
    rejected: gauge(
      'rejected_entries',
      'Keys of the registry that are not served as they stand there: malformed, not to be rendered, without an address that is known and allowed, or too many for the limit of open files.',
    ),
    rejections: counter('rejections_total', 'Entries that were refused when they arrived.'),
    quarantined: gauge(
      'quarantined_services',
      'Services that HAProxy refuses, or no template can render, as asked: in their last good form, or left out.',
    ),
    quarantinedInstances: gauge('quarantined_instances', 'Instances whose line HAProxy refuses.'),
    templatesRefused: gauge('refused_templates', 'Templates that HAProxy refuses; the last good ones are used.'),
    conflicts: gauge(
      'conflicts',
      'Routes and ports that a service does not get because another has them, hosts that no claim allows, and priorities that do not count.',
    ),
    revisionSeen: gauge('revision_seen', 'The newest revision that the registry delivered.'),
    revisionApplied: gauge('revision_applied', 'The newest revision that HAProxy serves.'),
    revisionAcknowledged: gauge(
      'revision_acknowledged',
      'The newest revision that others can wait for this balancer to serve.',
    ),
    acknowledgements: counter('acknowledgements_total', 'How often this balancer told what it serves.'),
    acknowledging: gauge('acknowledging', '1 while others can hear from this balancer what it serves.'),
    leasesGranted: counter(
      'leases_granted_total',
      "Leases granted for this balancer's own key; each but the first, because the one before was lost.",
    ),
    registryConnected: gauge('registry_connected', '1 while the registry is being followed.'),
    registryDisconnects: counter('registry_disconnects_total', 'How often the registry was lost.'),
    guardHeld: gauge('guard_held_instances', 'Instances lost all at once that are served all the same.', ['service']),
    held: gauge(
      'held_entries',
      'Entries that the registry does not have any more and that count all the same, because its history was replaced or they were deleted at once.',
      ['area'],
    ),
    names: gauge('names', 'Host names of instances: resolved, stale (an older address serves), or unresolved.', [
      'state',
    ]),
    nameLookups: counter('name_lookups_total', 'Lookups of host names of instances, by result (found, failed).', [
      'result',
    ]),
    overrides: gauge('overrides', 'Overrides by operators that are in force, by kind.', ['kind']),
    drift: counter('drift_total', 'Differences found between HAProxy and what it was given, and healed.'),
    pendingRemovals: gauge(
      'lingering_servers',
      'Servers that left and are still in HAProxy, in maintenance: with open connections, or because HAProxy cannot delete them safely.',
    ),
    haproxyStarts: counter('haproxy_starts_total', 'How often HAProxy was started.'),
    openFilesLimit: gauge('haproxy_open_files_limit', 'Files that HAProxy may have open at once (hard limit).'),
    mostConnections: gauge('haproxy_max_connections', 'Connections that HAProxy accepts at once (maxconn).'),
    pacedServices: gauge(
      'paced_services',
      'Services whose changes that need a reload wait, for they have needed many.',
    ),
    oldWorkers: gauge('haproxy_old_workers', 'Workers of earlier reloads that still finish connections.'),
    fileResults: counter('file_results_total', 'What came of making a file of `templates`, and of its reload.', [
      'dest',
      'result',
    ]),
    fileFailed: gauge('file_failed', '1 while a file of `templates` is not as it should be, or not in use.', ['dest']),
    certificateExpiry: gauge(
      'certificate_expiry_timestamp_seconds',
      'When a certificate that is served ends, in seconds since 1970.',
      ['certificate'],
    ),
    certificatesRefused: gauge('certificates_refused', 'Files of --certificates that cannot be used.'),
    trouble: gauge('trouble', '1 while this part of the balancer fails; docs/runbook.md has the parts.', ['part']),
    ready: gauge('ready', '1 while HAProxy serves and nothing keeps changes from being applied, as /readyz says.'),
    storageFailed: gauge('storage_last_failed', '1 while the state cannot be written to disk.'),
  };
}
