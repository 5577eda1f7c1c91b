import type { MakeMetric } from '../metrics/make-metric.ts';
import { type RegisterStatus, registerParts } from './register-status.ts';
import type { RegistrationState } from './registration-state.ts';

/** The metrics of `pointsman register`. */
export const registerMetrics = ({ counter, gauge }: MakeMetric) => ({
  ready: gauge('register_ready', '1 while nothing keeps instances from being announced, like /readyz.'),
  leaving: gauge('register_leaving', '1 while the process takes its instances out because it was asked to end.'),
  trouble: gauge('register_trouble', '1 while this part fails; docs/register.md has the parts.', ['part']),
  instances: gauge('register_instances', 'Instances of this process, by service and state.', ['service', 'state']),
  refused: gauge('register_refused_declarations', 'Files of --dir and labelled containers that have a mistake.', [
    'source',
  ]),
  registryConnected: gauge('register_registry_connected', '1 while the registry answers.'),
  registryStale: gauge('register_registry_stale_seconds', 'Time since the registry answered last; 0 while it does.'),
  leases: counter('register_leases_granted_total', 'Leases for the instances. Each but the first replaces a lost one.'),
  restored: counter('register_restored_total', 'Registrations that the registry had lost, and that were put again.'),
});

/** A label with more values would cost Prometheus more than it tells. */
const mostServices = 100;
/** The label of the others. No service has such a name. */
const otherServices = '_other';

export function setRegisterMetrics(
  metrics: ReturnType<typeof registerMetrics>,
  status: RegisterStatus,
  instances: readonly RegistrationState[],
): void {
  // biome-ignore format: one line
  const { ready, leaving, troubles, registry, folder, containers } = status;
  metrics.ready.set(ready ? 1 : 0);
  metrics.leaving.set(leaving ? 1 : 0);
  for (const part of Object.keys(registerParts)) {
    metrics.trouble.set({ part }, troubles.some((trouble) => trouble.part === part) ? 1 : 0);
  }
  metrics.instances.reset();
  for (const one of countsOf(instances)) metrics.instances.set({ service: one.service, state: one.state }, one.count);
  if (folder !== undefined) metrics.refused.set({ source: 'folder' }, folder.refused);
  if (containers !== undefined) metrics.refused.set({ source: 'containers' }, containers.refused);
  metrics.registryConnected.set(registry.connected ? 1 : 0);
  metrics.registryStale.set(registry.connected ? 0 : registry.staleMs / 1000);
  metrics.leases.reset();
  metrics.leases.inc(registry.leases);
  metrics.restored.reset();
  metrics.restored.inc(registry.restored);
}

type Count = { readonly service: string; readonly state: RegistrationState['state']; count: number };

function countsOf(instances: readonly RegistrationState[]): Iterable<Count> {
  const named = new Set([...new Set(instances.map(({ service }) => service))].sort().slice(0, mostServices));
  const counts = new Map<string, Count>();
  for (const { service, state } of instances) {
    const label = named.has(service) ? service : otherServices;
    const count = counts.get(`${label} ${state}`) ?? { service: label, state, count: 0 };
    count.count += 1;
    counts.set(`${label} ${state}`, count);
  }
  return counts.values();
}
