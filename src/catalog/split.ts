import type { DirtySet } from '../model/dirty-set.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId } from '../model/name.ts';
import { otherVersions, type Split } from '../model/policy/split.ts';
import type { Catalog } from './catalog.ts';
import type { Service } from './service.ts';

/** HAProxy's largest weight: the finer the weights, the more exact the shares. */
const largest = 256;

/**
 * The service with the weights that its policy's split by version asks for: those of one version share its part among them
 * as their own weights say, the same on every balancer. Where none of the versions with a share has an instance that is
 * ready, nothing is changed: requests are rather answered by another version than by none.
 */
export function withSplit(service: Service): Service {
  const { split } = service.policy;
  if (split === undefined) return service;
  const groups = new Map<string, Instance[]>();
  for (const instance of service.instances.values()) {
    if (!takesPart(instance)) continue;
    const name = groupOf(instance, split);
    groups.set(name, [...(groups.get(name) ?? []), instance]);
  }
  const parts = [...groups].map(([name, instances]) => {
    const share = split.get(name) ?? 0;
    const sum = instances.reduce((total, { weight }) => total + weight, 0);
    const heaviest = Math.max(...instances.map(({ weight }) => weight));
    return { share, sum, instances, most: (share * heaviest) / sum };
  });
  // So that the heaviest of all gets HAProxy's largest weight.
  const scale = largest / Math.max(...parts.map(({ most }) => most));
  if (!Number.isFinite(scale)) return service;
  const weights = new Map<InstanceId, number>();
  for (const { share, sum, instances } of parts) {
    const total = share === 0 ? 0 : Math.max(1, Math.round(share * scale));
    for (const [id, weight] of apportion(total, sum, instances)) weights.set(id, weight);
  }
  return {
    ...service,
    instances: service.instances.map((instance) => {
      const weight = weights.get(instance.id) ?? 0;
      return weight === instance.weight ? instance : { ...instance, weight };
    }),
  };
}

/** Divides a weight among instances by their own, in whole numbers whose sum is exact; the largest remainders round up. */
export function* apportion(
  total: number,
  sum: number,
  instances: readonly Instance[],
): Generator<[InstanceId, number]> {
  const exact = instances.map(({ id, weight }) => ({ id, weight: (total * weight) / sum }));
  let left = total - exact.reduce((given, { weight }) => given + Math.floor(weight), 0);
  const byRemainder = exact.toSorted((a, b) => (b.weight % 1) - (a.weight % 1) || (a.id < b.id ? -1 : 1));
  for (const { id, weight } of byRemainder) {
    const more = left > 0 ? 1 : 0;
    left -= more;
    yield [id, Math.min(largest, Math.floor(weight) + more)];
  }
}

/** Whether an instance takes new requests, before a split says how many. */
export const takesPart = ({ state, weight }: Instance): boolean => state === 'ready' && weight > 0;

/** The name under which a split counts this instance. */
export function groupOf({ version }: Instance, split: Split): string {
  return version !== undefined && split.has(version) ? version : otherVersions;
}

/** Where a split makes one instance's weight depend on the others, all of them are touched. */
export function withSiblings(dirty: DirtySet, { services }: Catalog): DirtySet {
  const widened = new Map(dirty);
  for (const [name, mark] of dirty) {
    const service = services.get(name);
    if (mark.whole || service?.policy.split === undefined) continue;
    widened.set(name, { whole: false, instances: new Set([...mark.instances, ...service.instances.keys()]) });
  }
  return widened;
}
