import type { MakeMetric } from './make-metric.ts';

/** Metrics of the guard and the quarantine. */
export const createProtectionMetrics = ({ gauge }: MakeMetric) => ({
  guardHeld: gauge('guard_held_instances', 'Instances lost all at once that are served all the same.', ['service']),
  quarantined: gauge(
    'quarantined_services',
    'Services that HAProxy refuses, or no template can render, as asked: in their last good form, or left out.',
  ),
  quarantinedInstances: gauge('quarantined_instances', 'Instances whose line HAProxy refuses.'),
  templatesRefused: gauge('refused_templates', 'Templates that HAProxy refuses; the last good ones are used.'),
});
