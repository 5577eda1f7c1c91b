import { availableParallelism } from 'node:os';
import {
  type ConfiguredLimits,
  readConfiguredLimits,
  type Shortage,
  type WorkerLimits,
} from '../../haproxy/open-files.ts';
import { leastConnections, mostForServices } from './check-shares.ts';

/** What pointsman knows of the files that HAProxy may have open. */
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
