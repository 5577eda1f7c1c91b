import type { MakeMetric } from './make-metric.ts';

/** Metrics of services, instances and entries. */
export const createCatalogMetrics = ({ counter, gauge }: MakeMetric) => ({
  instances: gauge('instances', 'Instances that are served, by service.', ['service']),
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
});
