import type { Logger } from 'pino';
import type { Haproxy, Processes } from '../../haproxy/haproxy.ts';
import { describe } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { ReloadMetrics } from './reload-metrics.ts';

export type OldWorkersParts = {
  readonly haproxy: Pick<Haproxy, 'endWorker'>;
  /** Has an old worker pass on its requests. Rejects with a Fault when the worker cannot be reached. */
  readonly passOn: (pid: number) => Promise<void>;
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
 * Limits the number of old workers, knows which services needed the reloads that they are from, and has them pass on the requests that
 * clients with an idle connection still send: an old worker has the routes and servers of the time before its reload, and takes no
 * command for them ("Proxy is disabled."). HAProxy's own limit,
 * mworker-max-reloads, also counts reloads that failed: after too many of them the next reload that succeeds would end the worker that
 * has served until then, with its open requests (seen on 2.6 to 3.4).
 */
export class OldWorkers {
  readonly #parts: OldWorkersParts;
  /** By pid, the services whose changes needed the reload that replaced the worker. */
  readonly #since = new Map<number, readonly ServiceName[]>();
  #processes: Pick<Processes, 'oldWorkers' | 'oldWorkerPids'> = { oldWorkers: 0, oldWorkerPids: [] };
  readonly #ended = new Set<number>();
  /** The workers that pass on their requests, or are about to. */
  readonly #passing = new Set<number>();

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
    for (const known of [this.#since, this.#ended, this.#passing])
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
        `pointsman ends the oldest worker of an earlier reload: there are more than ${most} (--limit-old-workers)`,
      );
      haproxy.endWorker(pid);
    }
  }

  /**
   * Has all old workers pass on their requests to the worker that serves. A worker that cannot be reached gets the command at the next
   * call. Resolves when each worker has answered or its deadline is over.
   */
  async passOn({ workerPid, oldWorkerPids }: Processes): Promise<void> {
    if (workerPid === undefined) return;
    const others = oldWorkerPids.filter((pid) => pid !== workerPid && !this.#passing.has(pid));
    await Promise.all(others.map((pid) => this.#passOn(pid)));
  }

  async #passOn(pid: number): Promise<void> {
    const { passOn, logger } = this.#parts;
    this.#passing.add(pid);
    try {
      await passOn(pid);
      logger.debug({ event: 'old-worker-passes-on', pid });
    } catch (error) {
      // The worker may have ended. If not, it answers its clients itself until it gets the command.
      this.#passing.delete(pid);
      logger.debug({ event: 'old-worker-untold', pid, reason: describe(error) });
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
    const beyond =
      haproxy.endWorker === undefined ? '' : `; pointsman ends the oldest beyond ${most} (--limit-old-workers)`;
    return `${count} workers of earlier reloads finish their connections${whose}; reloads that one service needs are further apart${beyond}`;
  }
}
