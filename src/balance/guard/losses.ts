import type { Catalog, Folded } from '../../catalog/catalog.ts';
import { withNumber } from '../../catalog/numbers.ts';
import { overridden, overrideOf } from '../../catalog/overrides.ts';
import type { Service } from '../../catalog/service.ts';
import { emptyService } from '../../catalog/serving.ts';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { takesOut } from '../../model/override.ts';
import type { Guard, GuardEvent } from './guard.ts';

/**
 * Makes the events of the guard from a fold. The registry does not say why a key is gone. An instance that leaves by itself writes
 * `draining` first, and a key without a lease cannot expire. `isOverridden`: whether an operator took the instance out of service;
 * the guard does not keep such an instance.
 */
export function guardEvents(
  { catalog, dirty, removals }: Folded,
  isOverridden: (service: ServiceName, id: InstanceId) => boolean,
): readonly Extract<GuardEvent, { kind: 'changed' }>[] {
  const expired = new Map<ServiceName, Map<InstanceId, Instance>>();
  for (const { instance, leased } of removals) {
    const { service, id, state } = instance;
    if (!leased || state !== 'ready' || isOverridden(service, id)) continue;
    const ofService = expired.get(service) ?? new Map<InstanceId, Instance>();
    expired.set(service, ofService.set(id, instance));
  }
  const events: Extract<GuardEvent, { kind: 'changed' }>[] = [];
  for (const [service, { instances }] of dirty) {
    const found = catalog.services.get(service);
    const has = found?.instances;
    const lost = [...(expired.get(service)?.values() ?? [])].filter(({ id }) => has?.has(id) !== true);
    const lostIds = new Set(lost.map(({ id }) => id));
    const left = [...instances].filter((id) => has?.has(id) !== true && !lostIds.has(id));
    const put = [...instances].filter((id) => has?.has(id) === true);
    const settings = found?.policy.guard ?? {};
    events.push({ kind: 'changed', service, settings, present: has?.size ?? 0, expired: lost, left, put });
  }
  return events;
}

/** Whether an operator took the instance out of service. */
export function isTakenOut(catalog: Catalog, service: ServiceName, id: InstanceId): boolean {
  const override = overrideOf(catalog.overrides, service, id);
  return override !== undefined && takesOut(override);
}

/** The guarded instances with a new override: `out` are out of service now, `others` are served in another way. */
export function overridesOfGuarded(
  { catalog, overrides }: Folded,
  guard: Guard,
): readonly {
  readonly service: ServiceName;
  readonly out: readonly InstanceId[];
  readonly others: readonly InstanceId[];
}[] {
  return [...new Set(overrides.map(({ service }) => service))].flatMap((service) => {
    const guarded = [...(guard.guarded.get(service)?.instances.keys() ?? [])];
    if (guarded.length === 0) return [];
    const out = guarded.filter((id) => isTakenOut(catalog, service, id));
    return [{ service, out, others: guarded.filter((id) => !out.includes(id)) }];
  });
}

/** The catalog with the guarded instances. An override counts for them, too. */
export function guardedCatalog(catalog: Catalog, guard: Guard): Catalog {
  if (guard.guarded.isEmpty()) return catalog;
  const services = catalog.services.withMutations((all) => {
    for (const name of guard.guarded.keys()) {
      const service = guardedService(catalog, guard, name);
      if (service !== undefined) all.set(name, service);
    }
  });
  return { ...catalog, services };
}

function guardedService(catalog: Catalog, guard: Guard, name: ServiceName): Service | undefined {
  const service = catalog.services.get(name);
  const guarded = guard.guarded.get(name)?.instances;
  if (guarded === undefined) return service;
  const found = service ?? emptyService(name);
  const served = guarded.map((instance) => overridden(instance, overrideOf(catalog.overrides, name, instance.id)));
  const numbers = [...guarded.keys()].reduce(withNumber, found.numbers);
  return { ...found, instances: found.instances.merge(served), numbers };
}
