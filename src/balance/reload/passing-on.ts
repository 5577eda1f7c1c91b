import type { Logger } from 'pino';
import type { Processes } from '../../haproxy/haproxy.ts';
import { describe } from '../../model/fault.ts';

type PassingOnParts = {
  /** Has an old worker pass its requests on. Rejects with a Fault when the worker cannot be reached. */
  readonly tell: (pid: number) => Promise<void>;
  readonly logger: Logger;
};

/**
 * Has old workers pass on the requests that clients with an idle connection still send. An old worker has the routes and servers of
 * the time before its reload, and takes no command for them ("Proxy is disabled.").
 */
export class PassingOn {
  readonly #parts: PassingOnParts;
  /** The workers that pass on their requests, or are about to. */
  #passing = new Set<number>();

  constructor(parts: PassingOnParts) {
    this.#parts = parts;
  }

  /**
   * Has all old workers pass on their requests to the worker that serves. A worker that cannot be reached gets the command at the next
   * call. Resolves when each worker has answered or its deadline is over.
   */
  async passOn({ workerPid, oldWorkerPids }: Processes): Promise<void> {
    if (workerPid === undefined) return;
    this.#passing = new Set([...this.#passing].filter((pid) => oldWorkerPids.includes(pid)));
    const others = oldWorkerPids.filter((pid) => pid !== workerPid && !this.#passing.has(pid));
    for (const pid of others) this.#passing.add(pid);
    await Promise.all(others.map((pid) => this.#tell(pid)));
  }

  async #tell(pid: number): Promise<void> {
    const { tell, logger } = this.#parts;
    try {
      await tell(pid);
      logger.debug({ event: 'old-worker-passes-on', pid });
    } catch (error) {
      // The worker may have ended. If not, it answers its clients itself until it gets the command.
      this.#passing.delete(pid);
      logger.debug({ event: 'old-worker-untold', pid, reason: describe(error) });
    }
  }
}
