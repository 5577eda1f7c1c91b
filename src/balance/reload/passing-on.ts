import type { Logger } from 'pino';
import type { Processes } from '../../haproxy/haproxy.ts';
import { describe } from '../../model/fault.ts';

type PassingOnParts = {
  /** Tells a worker that another one serves instead. Rejects with a Fault when it cannot be told. */
  readonly tell: (pid: number) => Promise<void>;
  readonly logger: Logger;
};

/**
 * Has the workers of before a reload pass on the requests that clients with an idle connection still send: such a worker has the
 * routes and servers of that time, and takes no command for them ("Proxy is disabled.").
 */
export class PassingOn {
  readonly #parts: PassingOnParts;
  /** Those that were told, or are being told. */
  #told = new Set<number>();

  constructor(parts: PassingOnParts) {
    this.#parts = parts;
  }

  /**
   * Once a worker serves, tells the workers before it. A worker that cannot be reached is told at the next look. Resolves when each
   * worker has answered or its time is up.
   */
  async passOn({ workerPid, oldWorkerPids }: Processes): Promise<void> {
    if (workerPid === undefined) return;
    this.#told = new Set([...this.#told].filter((pid) => oldWorkerPids.includes(pid)));
    const untold = oldWorkerPids.filter((pid) => pid !== workerPid && !this.#told.has(pid));
    for (const pid of untold) this.#told.add(pid);
    await Promise.all(untold.map((pid) => this.#tell(pid)));
  }

  async #tell(pid: number): Promise<void> {
    const { tell, logger } = this.#parts;
    try {
      await tell(pid);
      logger.debug({ event: 'old-worker-passes-on', pid });
    } catch (error) {
      // It may have ended; where it has not, it answers its clients itself until it is told.
      this.#told.delete(pid);
      logger.debug({ event: 'old-worker-untold', pid, reason: describe(error) });
    }
  }
}
