import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import type { DirtySet } from '../model/dirty-set.ts';
import { formatDuration } from '../model/quantity.ts';
import type { CheckPace, Rendered, RenderedBackend } from './rendered.ts';

/** Checks per second of one service, at most. */
export const mostChecksPerSecond = 2000;

/**
 * How long is between two checks of each instance: as the policy wishes, or twice, four times, ... as long, so that all instances
 * together are not checked too often. A service whose number of instances goes up and down keeps the interval that it had until it has
 * half as many as made it longer, because each other interval takes a reload.
 */
export function checkPace(
  { policy: { check }, instances }: Pick<Service, 'policy' | 'instances'>,
  before: RenderedBackend | undefined,
): CheckPace | undefined {
  if (check.kind === 'none') return undefined;
  const wishedMs = check.intervalMs;
  const leastMs = (instances.size * 1000) / mostChecksPerSecond;
  let intervalMs = wishedMs;
  while (intervalMs < leastMs) intervalMs *= 2;
  const known = before?.checkPace ?? { wishedMs, intervalMs: before && intervalIn(before) };
  if (known.wishedMs !== wishedMs || known.intervalMs === undefined || known.intervalMs <= intervalMs) {
    return { wishedMs, intervalMs };
  }
  const isMultiple = Number.isInteger(Math.log2(known.intervalMs / wishedMs));
  return { wishedMs, intervalMs: isMultiple && leastMs > known.intervalMs / 4 ? known.intervalMs : intervalMs };
}

/** The interval of a backend that was read back, by its first server. */
function intervalIn({ servers }: RenderedBackend): number | undefined {
  const ms = / inter (\d+)ms( |$)/.exec(servers.first() ?? '')?.[1];
  return ms === undefined ? undefined : Number(ms);
}

/** Where the pace of a service's checks is another one than it was rendered with, all of its instances are touched. */
export function withPaced(dirty: DirtySet, { services }: Catalog, { backends }: Rendered): DirtySet {
  const widened = new Map(dirty);
  for (const [name, mark] of dirty) {
    const service = services.get(name);
    const backend = backends.get(name);
    if (mark.whole || service === undefined || backend?.checkPace === undefined) continue;
    if (checkPace(service, backend)?.intervalMs === backend.checkPace.intervalMs) continue;
    widened.set(name, { whole: false, instances: new Set([...mark.instances, ...service.instances.keys()]) });
  }
  return widened;
}

/** The service, checked at this pace. */
export function withCheckPace(service: Service, pace: CheckPace | undefined): Service {
  const { check } = service.policy;
  if (check.kind === 'none' || pace === undefined || pace.intervalMs === check.intervalMs) return service;
  return { ...service, policy: { ...service.policy, check: { ...check, intervalMs: pace.intervalMs } } };
}

/** Why its checks are further apart than the policy says; undefined when they are not. */
export function describePace({ checkPace: pace, servers }: RenderedBackend): string | undefined {
  if (pace === undefined || pace.intervalMs <= pace.wishedMs) return undefined;
  const [ms, wished] = [formatDuration(pace.intervalMs), formatDuration(pace.wishedMs)];
  return `with ${servers.size} instances each is checked every ${ms} instead of ${wished}: a service gets at most ${mostChecksPerSecond} checks per second`;
}
