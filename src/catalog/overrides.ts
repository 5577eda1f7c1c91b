import { Map as PersistentMap } from 'immutable';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import {
  type Override,
  type OverrideEffect,
  type OverrideScope,
  type OverrideTarget,
  pauseOf,
} from '../model/override.ts';
import type { ServiceState } from '../model/route-target.ts';
import type { Service } from './service.ts';

/** All overrides, also those whose service or instance is not there yet. */
export type Overrides = PersistentMap<ServiceName, PersistentMap<OverrideScope, Override>>;

/** A change of the overrides by a fold. An override that replaces another is `ended` and then `began`. */
export type OverrideTransition = OverrideTarget & { readonly override: Override } & (
    | { readonly kind: 'began' }
    | { readonly kind: 'ended'; readonly reason: 'removed' | 'replaced' | 'expired' }
  );

export const noOverrides: Overrides = PersistentMap();

/** The override that counts for an instance: its own before the service's. */
export function overrideOf(overrides: Overrides, service: ServiceName, id: InstanceId): Override | undefined {
  const ofService = overrides.get(service);
  return ofService?.get(id) ?? ofService?.get('*');
}

export function setOverride(overrides: Overrides, { service, scope }: OverrideTarget, override: Override): Overrides {
  const ofService = overrides.get(service) ?? PersistentMap<OverrideScope, Override>();
  return overrides.set(service, ofService.set(scope, override));
}

export function deleteOverride(overrides: Overrides, { service, scope }: OverrideTarget): Overrides {
  const rest = overrides.get(service)?.delete(scope);
  if (rest === undefined) return overrides;
  return rest.isEmpty() ? overrides.delete(service) : overrides.set(service, rest);
}

const strictness = { ready: 0, draining: 1, maintenance: 2 } as const;

/**
 * The instance as it should be served. An override takes away and never gives: an instance that says of itself that it
 * drains or is in maintenance stays so.
 */
export function overridden(instance: Instance, override: Override | undefined): Instance {
  if (override === undefined) return instance;
  const { effect } = override;
  const state = stateUnder(effect);
  const stricter = strictness[state] > strictness[instance.state];
  const weight = effect.kind === 'weight' ? effect.weight : instance.weight;
  if (!stricter && weight === instance.weight) return instance;
  return { ...instance, weight, state: stricter ? state : instance.state };
}

/** A weight of 0 drains, and is to be waited for as a drain is. */
function stateUnder(effect: OverrideEffect): Instance['state'] {
  switch (effect.kind) {
    case 'drain':
      return 'draining';
    case 'maintenance':
      return 'maintenance';
    case 'weight':
      return effect.weight === 0 ? 'draining' : 'ready';
    case 'pause':
      return 'ready';
  }
}

type Instances = Service['instances'];

/** The instances in scope with the overrides as they are now; `ids` are those that are served otherwise than before. */
export function overrideAnew(
  overrides: Overrides,
  { service: name, scope }: OverrideTarget,
  { registered, instances: before }: Pick<Service, 'registered' | 'instances'>,
): { readonly instances: Instances; readonly ids: readonly InstanceId[] } {
  const ids: InstanceId[] = [];
  const instances = before.withMutations((all) => {
    for (const id of scope === '*' ? registered.keys() : [scope]) {
      const instance = registered.get(id);
      if (instance === undefined) continue;
      const after = overridden(instance, overrideOf(overrides, name, id));
      const served = before.get(id);
      if (served?.state === after.state && served.weight === after.weight) continue;
      all.set(id, after);
      ids.push(id);
    }
  });
  return { instances, ids };
}

/**
 * The override that keeps requests from the whole service. In a maintenance, an instance with an override of its own may take
 * requests: there is no page while one does.
 */
export function suspendedBy(
  ofService: PersistentMap<OverrideScope, Override> | undefined,
  instances: Instances,
): ServiceState | undefined {
  const whole = ofService?.get('*');
  if (ofService === undefined || whole === undefined) return undefined;
  const mostMs = pauseOf(whole);
  if (mostMs !== undefined) return { kind: 'pause', mostMs };
  if (whole.effect.kind !== 'maintenance') return undefined;
  const takesRequests = (scope: OverrideScope): boolean => {
    const instance = scope === '*' ? undefined : instances.get(scope);
    return instance?.state === 'ready' && instance.weight > 0;
  };
  return [...ofService.keys()].some(takesRequests) ? undefined : { kind: 'maintenance' };
}

/** How many instances there are, and how many of them take new requests. */
export function readiness(instances: Instances): { readonly instances: number; readonly ready: number } {
  return {
    instances: instances.size,
    ready: instances.count(({ state, weight }) => state === 'ready' && weight > 0),
  };
}

/** A moment, on both clocks of a machine, in ms. */
export type Clocks = { readonly now: number; readonly wall: number };

/**
 * When an override ends by this machine's monotonic clock; undefined when it does not end by itself.
 *
 * Clocks of machines differ. Who sees it come (`live`) lets it last as long as it was meant to last, `until - at`, and
 * needs nobody's clock for that. Who finds it there, after a start or a gap, cannot know its age: it goes by its own wall
 * clock, and never lets it last longer than it was meant to. A clock that is wrong by an hour so can end it early, by at
 * most that hour, and never keep it for longer than `until - at` after it was seen.
 */
export function overrideEnd({ at, until }: Override, live: boolean, { now, wall }: Clocks): number | undefined {
  if (until === undefined) return undefined;
  const left = until - wall;
  if (at === undefined) return now + left;
  return now + (live ? until - at : Math.min(left, until - at));
}
