import type { Service } from '../catalog/service.ts';
import { apportion, groupOf, takesPart, withSplit } from '../catalog/split.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { type RouteTarget, versionKey, versionTarget } from '../model/route-target.ts';

/**
 * The keys of the route map by which HAProxy finds an instance of the version that a request asks for: for each version a
 * count of numbers and one of instances, and an instance for each number, as often as its weight says. Undefined where no request asks.
 *
 * A client stays with a version only while the split gives it a share. The canary's version may have none.
 */
export function versionKeys(service: Service): ReadonlyMap<string, RouteTarget> | undefined {
  const { name, policy } = service;
  const { canary, split } = policy;
  const stays = policy.sticky?.to === 'version';
  if (canary === undefined && !stays) return undefined;
  const keys = new Map<string, RouteTarget>();
  const byVersion = new Map<string, Instance[]>();
  for (const instance of service.instances.values()) {
    const { version } = instance;
    if (version === undefined) continue;
    if (stays) keys.set(versionKey(name, `@of/${instance.id}`), versionTarget(name, version));
    if (takesPart(instance)) byVersion.set(version, [...(byVersion.get(version) ?? []), instance]);
  }
  if (canary !== undefined) addGroup(keys, name, '@canary', byVersion.get(canary.version) ?? []);
  if (!stays) return keys;
  // Where no version with a share has an instance that is ready, the split does not count.
  const counts = split !== undefined && withSplit(service) !== service;
  for (const [version, instances] of byVersion) {
    const [first] = instances;
    const hasShare = !counts || first === undefined || (split.get(groupOf(first, split)) ?? 0) > 0;
    if (hasShare) addGroup(keys, name, version, instances);
  }
  return keys;
}

export function sameKeys(one: ReadonlyMap<string, string> | undefined, other: typeof one): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}

/** How many numbers there are, where the weights differ: for few instances, and on average for each of many. */
const numbers = { least: 64, each: 4 };

function addGroup(
  keys: Map<string, RouteTarget>,
  service: ServiceName,
  group: string,
  instances: readonly Instance[],
): void {
  if (instances.length === 0) return;
  const ids = idsByNumber(instances.toSorted((a, b) => (a.id < b.id ? -1 : 1)));
  keys.set(versionKey(service, group), versionTarget(service, `${ids.length}:${instances.length}`));
  for (const [at, id] of ids.entries()) keys.set(versionKey(service, `${group}/${at}`), versionTarget(service, id));
}

/** Instances by number. Each of the first numbers is another instance: HAProxy tries these while the chosen one is down. */
function idsByNumber(instances: readonly Instance[]): readonly InstanceId[] {
  const ids = instances.map(({ id }) => id);
  if (instances.every(({ weight }) => weight === instances[0]?.weight)) return ids;
  const sum = instances.reduce((total, { weight }) => total + weight, 0);
  const total = Math.max(numbers.least, ids.length * numbers.each);
  const further = [...apportion(total, sum, instances)].flatMap(([id, count]) =>
    Array<InstanceId>(Math.max(0, count - 1)).fill(id),
  );
  return [...ids, ...further];
}
