import type { MakeMetric } from './make-metric.ts';

/** Metrics of changes on their way from the registry to HAProxy. */
export const createChangeMetrics = ({ counter, gauge, histogram }: MakeMetric) => ({
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
});
