import { Map as PersistentMap } from 'immutable';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { defaultPolicy } from '../model/policy.ts';
import type { Touched } from '../model/touched.ts';
import type { Catalog, Service } from './catalog.ts';
import type { Guard, GuardEvent } from './guard.ts';
import { instanceKey } from './key.ts';

/**
 * What a fold means for the guard. The registry does not say why a key is gone, so intent is read from what stood there:
 * a graceful leave writes `draining` first, and a key without a lease cannot expire. `isOverridden` tells whether an
 * operator took the instance out, whose word is never held against.
 */
export function guardEvents(
  before: Catalog,
  after: Catalog,
  touched: Touched,
  isOverridden: (service: ServiceName, id: InstanceId) => boolean,
): readonly Extract<GuardEvent, { kind: 'changed' }>[] {
  const events: Extract<GuardEvent, { kind: 'changed' }>[] = [];
  for (const [service, { instances }] of touched) {
    const had = before.services.get(service)?.instances;
    const has = after.services.get(service)?.instances;
    const expired: Instance[] = [];
    const left: InstanceId[] = [];
    const put: InstanceId[] = [];
    for (const id of instances) {
      const lost = had?.get(id);
      if (has?.has(id)) put.push(id);
      else if (lost === undefined || lost.state !== 'ready' || isOverridden(service, id)) left.push(id);
      else if (before.accepted.get(instanceKey(service, id))?.leased === true) expired.push(lost);
      else left.push(id);
    }
    if (instances.size > 0) events.push({ kind: 'changed', service, present: has?.size ?? 0, expired, left, put });
  }
  return events;
}

/** The service as it should be served: what the registry has, and what the guard holds. */
export function guardedService(catalog: Catalog, guard: Guard, name: ServiceName): Service | undefined {
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
