import type { MakeMetric } from '../../metrics/make-metric.ts';

export type ReconcileMetrics = ReturnType<typeof reconcileMetrics>;

export const reconcileMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
  changes: counter('changes_applied_total', 'Instances and policies that changed and were applied.'),
  steps: counter('steps_total', 'Commands of the runtime API that changed HAProxy, by kind and outcome.', [
    'kind',
    'outcome',
  ]),
  applySeconds: histogram('apply_duration_seconds', 'Time from an event of the registry until HAProxy served it.'),
  stageSeconds: histogram('stage_duration_seconds', 'Parts of apply_duration_seconds: waiting, rendering, commands.', [
    'stage',
  ]),
  propagationSeconds: histogram(
    'propagation_seconds',
    'Time from the writing of a registration, by the clock of its machine, until HAProxy served it.',
  ),
  drift: counter('drift_total', 'Differences between desired and actual state of HAProxy that pointsman repaired.'),
  pendingRemovals: gauge(
    'lingering_servers',
    'Servers that left and that HAProxy still has, in maintenance, because they have open connections or HAProxy cannot delete them safely.',
  ),
  revisionSeen: gauge('revision_seen', 'Newest revision that the registry delivered.'),
  revisionApplied: gauge('revision_applied', 'Newest revision that HAProxy serves.'),
  services: gauge('services', 'Services that are served.'),
  rejected: gauge(
    'rejected_entries',
    'Registry keys that are not served as written: malformed, not rendered, without an allowed address, or beyond the limit of open files.',
  ),
  rejections: counter('rejections_total', 'Entries that were refused on arrival.'),
  conflicts: gauge(
    'conflicts',
    'Conflicts: routes and ports that another service has, hosts that no claim allows, and priorities without effect.',
  ),
  haproxyStarts: counter('haproxy_starts_total', 'Starts of HAProxy.'),
});
