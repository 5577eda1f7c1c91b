import { availableParallelism } from 'node:os';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import {
  type ConfiguredLimits,
  readConfiguredLimits,
  type Shortage,
  type WorkerLimits,
} from '../../haproxy/open-files.ts';
import { fairShare } from '../../model/fair-share.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { noRevision } from '../../model/revision.ts';
import { createdAt } from '../../registry/registry.ts';

/** HAProxy does not start without room for so many connections. */
const leastConnections = 100;
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

/** The numbers that pointsman knows of the files that HAProxy may have open. */
export type FileBudget = {
  /** The hard limit; undefined while it is not known. */
  readonly limit: number | undefined;
  /** Whether the process that runs HAProxy gave the limit. Then the numbers of a worker do not change it. */
  readonly isGiven: boolean;
  readonly own: number;
  /** The least that it needs for itself, from failed reloads and starts with this base configuration. */
  readonly leastOwn: number;
  readonly configured: ConfiguredLimits;
  readonly worker: WorkerLimits | undefined;
};

export const firstBudget: FileBudget = {
  limit: undefined,
  isGiven: false,
  // Measured: 34 with 2.6, 45 with 3.0 and 23 with 3.4, and 3 for each thread. Pointsman learns other numbers from the worker.
  own: 48 + 3 * availableParallelism(),
  leastOwn: 0,
  configured: { maxconn: undefined, files: undefined },
  worker: undefined,
};

export function withConfig(budget: FileBudget, text: string): FileBudget {
  const configured = readConfiguredLimits(text);
  const { maxconn, files } = budget.configured;
  const same = configured.maxconn === maxconn && configured.files === files;
  return same ? budget : { ...budget, configured, leastOwn: 0 };
}

/** The budget as a new worker has it. `need`: the files of the services that it loaded; undefined if they are not known. */
export function withWorker(budget: FileBudget, worker: WorkerLimits, need: number | undefined): FileBudget {
  const { connections, files } = worker;
  const own = need === undefined ? budget.own : files - 2 * connections - need;
  // A worker uses the whole limit, unless the configuration sets the number of connections.
  const limit = budget.isGiven || budget.configured.maxconn !== undefined ? budget.limit : files;
  return { ...budget, worker, own: Math.max(own, budget.leastOwn, 0), limit };
}

/** The budget after HAProxy refused services with this need. */
export function withShortage(budget: FileBudget, shortage: Shortage, need: number): FileBudget {
  const leastOwn = shortage.needed - 2 * (budget.configured.maxconn ?? leastConnections) - need;
  const limit = Math.min(shortage.limit, budget.limit ?? shortage.limit);
  return { ...budget, leastOwn, own: Math.max(budget.own, leastOwn), limit };
}

/** The most files that all services may need together; infinity while no limit is known. */
export function mostOf({ limit, own, configured: { maxconn, files } }: FileBudget): number {
  const least = Math.min(limit ?? Number.POSITIVE_INFINITY, files ?? Number.POSITIVE_INFINITY);
  return least === Number.POSITIVE_INFINITY ? least : mostForServices({ limit: least, own, maxconn });
}
