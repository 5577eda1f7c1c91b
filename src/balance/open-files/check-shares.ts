import type { Catalog } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import { fairShare } from '../../model/fair-share.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { noRevision } from '../../model/revision.ts';
import { createdAt } from '../../registry/registry.ts';

/** HAProxy does not start without room for so many connections. */
export const leastConnections = 100;
const filesOfConnection = 2;

/** How many files HAProxy may have open, and what it needs of them. */
export type OpenFiles = {
  readonly limit: number;
  /** Files that HAProxy needs without services and connections. */
  readonly own: number;
  /** From the configuration; undefined: HAProxy uses the files that are left. */
  readonly maxconn: number | undefined;
};

/**
 * How many open files the services may need together, for their health checks and the ports of `tcp` services. A quarter of the limit is left to
 * connections, so that instances of one service cannot take those of all.
 */
export function mostForServices({ limit, own, maxconn }: OpenFiles): number {
  const connections =
    maxconn === undefined
      ? Math.max(leastConnections * filesOfConnection, Math.floor(limit / 4))
      : maxconn * filesOfConnection;
  return limit - own - connections;
}

/** The open files that a service needs: one for the health check of each instance, and one for its own port. */
export function filesOf({ policy, instances }: Service): number {
  return (policy.check.kind === 'none' ? 0 : instances.size) + ownPorts(policy);
}

const ownPorts = ({ mode }: Service['policy']): number => (mode === 'tcp' ? 1 : 0);

type Part = {
  readonly of: Service;
  /** The number of instances that remain, the oldest. */
  readonly kept: number;
  readonly ids: ReadonlySet<InstanceId>;
  readonly remaining: Service;
};
export type LeftOut = ReadonlyMap<ServiceName, Part>;

/**
 * The instances to leave out so that the others need no more than `most` open files: the newest of the largest services. A
 * service that needs no more than a fair share keeps all of its instances. With `known`, the former answer, a service that did
 * not change costs nothing.
 */
export function leftOutOf({ services, accepted }: Catalog, most: number, known: LeftOut = new Map()): LeftOut {
  const needs = new Map([...services.values()].map((service) => [service.name, filesOf(service)]));
  const share = fairShare(needs.values(), most);
  const left = new Map<ServiceName, Part>();
  for (const [name, need] of needs) {
    const service = services.get(name);
    if (service === undefined || need <= share || service.policy.check.kind === 'none') continue;
    const kept = Math.max(0, Math.floor(share) - ownPorts(service.policy));
    const before = known.get(name);
    left.set(name, before?.of === service && before.kept === kept ? before : partOf(service, kept, accepted));
  }
  return left;
}

function partOf(service: Service, kept: number, accepted: Catalog['accepted']): Part {
  const { name, instances } = service;
  // A guarded instance has no entry, and is older than all others.
  const age = (id: InstanceId) => {
    const entry = accepted.get(instanceKey(name, id));
    return entry === undefined ? noRevision : createdAt(entry);
  };
  const byAge = [...instances.keys()]
    .map((id) => ({ id, since: age(id) }))
    .sort((a, b) => (a.since === b.since ? (a.id < b.id ? -1 : 1) : a.since < b.since ? -1 : 1));
  const ids = new Set(byAge.slice(kept).map(({ id }) => id));
  return { of: service, kept, ids, remaining: { ...service, instances: instances.deleteAll(ids) } };
}
