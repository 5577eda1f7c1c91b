import { Map as PersistentMap } from 'immutable';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import type { Catalog, Folded, Service } from './catalog.ts';
import type { Guard, GuardEvent } from './guard.ts';

/**
 * What a fold means for the guard. The registry does not say why a key is gone, so intent is read from what stood there
 * last: a graceful leave writes `draining` first, and a key without a lease cannot expire. `isOverridden` tells whether an
 * operator took the instance out, whose word is never held against.
 */
export function guardEvents(
  { catalog, touched, removals }: Folded,
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
  for (const [service, { instances }] of touched) {
    if (instances.size === 0) continue;
    const has = catalog.services.get(service)?.instances;
    const lost = [...(expired.get(service)?.values() ?? [])].filter(({ id }) => has?.has(id) !== true);
    const lostIds = new Set(lost.map(({ id }) => id));
    const left = [...instances].filter((id) => has?.has(id) !== true && !lostIds.has(id));
    const put = [...instances].filter((id) => has?.has(id) === true);
    events.push({ kind: 'changed', service, present: has?.size ?? 0, expired: lost, left, put });
  }
  return events;
}

/** The catalog as it should be served: what the registry has, and what the guard holds. */
export function guardedCatalog(catalog: Catalog, guard: Guard): Catalog {
  if (guard.holds.isEmpty()) return catalog;
  const services = catalog.services.withMutations((all) => {
    for (const name of guard.holds.keys()) {
      const service = guardedService(catalog, guard, name);
      if (service !== undefined) all.set(name, service);
    }
  });
  return { ...catalog, services };
}

function guardedService(catalog: Catalog, guard: Guard, name: ServiceName): Service | undefined {
  const service = catalog.services.get(name);
  const held = guard.holds.get(name)?.instances;
  if (held === undefined) return service;
  const found = service ?? {
    name,
    policy: defaultPolicy,
    declared: false,
    instances: PersistentMap<InstanceId, Instance>(),
  };
  return { ...found, instances: found.instances.merge(held) };
}
