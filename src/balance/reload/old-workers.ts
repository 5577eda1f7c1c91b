import type { Logger } from 'pino';
import type { Haproxy, Processes } from '../../haproxy/haproxy.ts';
import type { ServiceName } from '../../model/name.ts';
import type { ReloadMetrics } from './reload-metrics.ts';

type OldWorkersParts = {
  readonly haproxy: Pick<Haproxy, 'endWorker'>;
  /** The oldest workers beyond this number are ended. */
  readonly most: number;
  /** Whether there are so many old workers that reloads should be fewer. */
  readonly onCrowded: (crowded: boolean) => void;
  readonly metrics: Pick<ReloadMetrics, 'oldWorkers'>;
  readonly logger: Logger;
};

const mostNamed = 3;

/** From half of the limit on, the reloads that a service needs are further apart. */
const isCrowded = (count: number, most: number): boolean => count >= Math.max(2, Math.ceil(most / 2));

/** The old workers to end. `pids` has the youngest first. */
const toEnd = (pids: readonly number[], most: number): readonly number[] => pids.slice(most);

/**
 * Limits the number of old workers, and knows which services needed the reloads that they are from. HAProxy's own limit,
 * mworker-max-reloads, also counts reloads that failed: after too many of them the next reload that succeeds would end the worker that
 * has served until then, with its open requests (seen on 2.6 to 3.4).
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

  /** To be called with the processes that run now. */
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

  /** How many old workers there are, and which services needed their reloads; undefined while they are few. */
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
