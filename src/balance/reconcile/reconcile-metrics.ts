import type { MakeMetric } from '../../metrics/make-metric.ts';

export type ReconcileMetrics = ReturnType<typeof reconcileMetrics>;

export const reconcileMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
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
  drift: counter('drift_total', 'Differences found between HAProxy and what it was given, and healed.'),
  pendingRemovals: gauge(
    'lingering_servers',
    'Servers that left and are still in HAProxy, in maintenance: with open connections, or because HAProxy cannot delete them safely.',
  ),
  revisionSeen: gauge('revision_seen', 'The newest revision that the registry delivered.'),
  revisionApplied: gauge('revision_applied', 'The newest revision that HAProxy serves.'),
  services: gauge('services', 'Services that are served.'),
  rejected: gauge(
    'rejected_entries',
    'Keys of the registry that are not served as they stand there: malformed, not to be rendered, without an address that is known and allowed, or too many for the limit of open files.',
  ),
  rejections: counter('rejections_total', 'Entries that were refused when they arrived.'),
  conflicts: gauge(
    'conflicts',
    'Routes and ports that a service does not get because another has them, hosts that no claim allows, and priorities that do not count.',
  ),
  haproxyStarts: counter('haproxy_starts_total', 'How often HAProxy was started.'),
});
