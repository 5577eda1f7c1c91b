import type { Logger } from 'pino';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { describe } from '../../model/fault.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import type { TroublePart, Troubles } from '../observe/troubles.ts';

export type UpkeepParts = {
  readonly part: TroublePart;
  /** Opens another connection to the worker that serves now. Rejects while there is none. */
  readonly connect: () => Promise<WorkerConnection>;
  /** Gives this worker the files. Returns why it does not use all of them; undefined when it does. */
  readonly serve: (worker: WorkerConnection) => Promise<string | undefined>;
  readonly troubles: Troubles;
  readonly logger: Logger;
};

const retry = { firstMs: 200, mostMs: 60_000 };

/**
 * Gives the worker files that reconciling does not need, such as certificates. It has its own connection and nothing waits for it:
 * after a failure it tries again with backoff.
 */
export class Upkeep {
  readonly #parts: UpkeepParts;
  #running: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** To be called when the files or the worker may have changed. During a turn, calls make one more turn. */
  look(): void {
    if (this.#closed) return;
    clearTimeout(this.#retry);
    this.#again = true;
    this.#running ??= this.#turn().finally(() => {
      this.#running = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#running;
  }

  async #turn(): Promise<void> {
    const { part, troubles } = this.#parts;
    while (this.#again && !this.#closed) {
      this.#again = false;
      const { reason, unanswered } = await this.#attempt();
      if (reason === undefined) {
        troubles.over(part);
        this.#failures = 0;
        continue;
      }
      this.#failures += 1;
      // A worker that a reload replaces does not answer for a moment.
      if (!unanswered || this.#failures > 1) troubles.failed(part, reason);
      if (this.#closed) return;
      this.#retry = setTimeout(() => this.look(), backoffMs(retry, this.#failures));
    }
  }

  async #attempt(): Promise<{ readonly reason: string | undefined; readonly unanswered: boolean }> {
    const { connect, serve, logger, part } = this.#parts;
    try {
      const worker = await connect();
      try {
        return { reason: await serve(worker), unanswered: false };
      } finally {
        worker.close();
      }
    } catch (error) {
      logger.debug({ event: 'upkeep-failed', part, reason: describe(error) }, describe(error));
      return { reason: describe(error), unanswered: true };
    }
  }
}
