import type { MakeMetric } from '../../metrics/make-metric.ts';
import type { ContainersFacts } from './containers-facts.ts';

/** The metrics of `register --containers`. */
export const containerMetrics = ({ counter, gauge }: MakeMetric) => ({
  containers: gauge('register_containers', 'Containers that run and have labels for pointsman, by the stage of their run.', ['stage']), // biome-ignore format: one line
  engineConnected: gauge('register_engine_connected', '1 while the agent follows the containers of the engine.'),
  engineStale: gauge('register_engine_stale_seconds', 'Time since the engine was last followed; 0 while it is.'),
  engineDisconnects: counter('register_engine_disconnects_total', 'How often the stream of events was lost.'),
  engineMissed: counter('register_engine_missed_total', 'Containers that came or went without an event.'),
  labelConflicts: gauge('register_label_conflicts', 'Policies by labels that do not count, because the policy has another owner.'), // biome-ignore format: one line
});

export function setContainerMetrics(metrics: ReturnType<typeof containerMetrics>, facts: ContainersFacts): void {
  const { engine, stages, policies } = facts;
  for (const [stage, count] of Object.entries(stages)) metrics.containers.set({ stage }, count);
  metrics.engineConnected.set(engine.reason === undefined ? 1 : 0);
  metrics.engineStale.set(engine.staleMs / 1000);
  metrics.engineDisconnects.reset();
  metrics.engineDisconnects.inc(engine.losses);
  metrics.engineMissed.reset();
  metrics.engineMissed.inc(engine.missed);
  metrics.labelConflicts.set(policies.conflicts.length);
}
