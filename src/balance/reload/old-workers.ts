import type { Logger } from 'pino';
import type { Haproxy, Processes } from '../../haproxy/haproxy.ts';
import type { ServiceName } from '../../model/name.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

type OldWorkersParts = {
  readonly haproxy: Pick<Haproxy, 'endWorker'>;
  /** More than these are ended. */
  readonly most: number;
  /** Told whether there are so many that reloads should be fewer. */
  readonly onCrowded: (crowded: boolean) => void;
  readonly metrics: Pick<BalanceMetrics, 'oldWorkers'>;
  readonly logger: Logger;
};

const mostNamed = 3;

/** From half of the most on, services have to be sparing with reloads. */
const isCrowded = (count: number, most: number): boolean => count >= Math.max(2, Math.ceil(most / 2));

/** The old workers to end, of all: `pids` has the youngest first. */
const toEnd = (pids: readonly number[], most: number): readonly number[] => pids.slice(most);

/**
 * Workers of earlier reloads that still finish their connections: knows whose reloads they are of, and bounds them. HAProxy's own bound,
 * mworker-max-reloads, counts reloads that failed as well: after so many of these, the next one that works would end the worker that has
 * served until then with its open requests (seen on 2.6 to 3.4).
 */
export class OldWorkers {
  readonly #parts: OldWorkersParts;
  /** By pid, the services whose changes needed the reload that replaced the worker. */
  readonly #since = new Map<number, readonly ServiceName[]>();
  #processes: Pick<Processes, 'oldWorkers' | 'oldWorkerPids'> = { oldWorkers: 0, oldWorkerPids: [] };
  readonly #ended = new Set<number>();

  constructor(parts: OldWorkersParts) {
    this.#parts = parts;
  }

  /** A reload that these services needed replaced this worker. */
  replaced(worker: number | undefined, services: readonly ServiceName[]): void {
    if (worker !== undefined) this.#since.set(worker, services);
  }

  /** These processes run now; `worker` serves. */
  seen(processes: Processes): void {
    const { metrics, onCrowded, most, haproxy, logger } = this.#parts;
    this.#processes = processes;
    const there = new Set([...processes.oldWorkerPids, processes.workerPid]);
    for (const known of [this.#since, this.#ended])
      for (const pid of known.keys()) if (!there.has(pid)) known.delete(pid);
    metrics.oldWorkers.set(processes.oldWorkers);
    onCrowded(isCrowded(processes.oldWorkers, most));
    if (haproxy.endWorker === undefined) return;
    for (const pid of toEnd(processes.oldWorkerPids, most)) {
      if (this.#ended.has(pid)) continue;
      this.#ended.add(pid);
      const services = this.#since.get(pid);
      const about = { event: 'old-worker-ended', pid, services, count: processes.oldWorkers };
      logger.warn(
        about,
        `ending the oldest worker of an earlier reload: there are more than ${most} (--limit-old-workers)`,
      );
      haproxy.endWorker(pid);
    }
  }

  /** Whose they are; undefined while they are few. */
  get trouble(): string | undefined {
    const { most, haproxy } = this.#parts;
    const { oldWorkers: count, oldWorkerPids } = this.#processes;
    if (!isCrowded(count, most)) return undefined;
    const counts = new Map<ServiceName, number>();
    for (const pid of oldWorkerPids) {
      for (const name of this.#since.get(pid) ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const named = [...counts].sort(([, a], [, b]) => b - a).slice(0, mostNamed);
    const whose =
      named.length === 0 ? '' : ` (${named.map(([name, n]) => `${n} since reloads for ${name}`).join(', ')})`;
    const beyond = haproxy.endWorker === undefined ? '' : `; beyond ${most} the oldest are ended (--limit-old-workers)`;
    return `${count} workers of earlier reloads finish their connections${whose}; reloads that one service needs are further apart${beyond}`;
  }
}
