import type { Logger } from 'pino';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { describe } from '../../model/fault.ts';
import type { TroublePart, Troubles } from '../observe/troubles.ts';

export type UpkeepParts = {
  readonly part: TroublePart;
  /** A connection of its own to the worker that serves now. Rejects while there is none. */
  readonly connect: () => Promise<WorkerConnection>;
  /** Has this worker use what it should. Gives why some of it is not used; undefined when all is. */
  readonly serve: (worker: WorkerConnection) => Promise<string | undefined>;
  readonly troubles: Troubles;
  readonly logger: Logger;
};

const retryMs = { first: 200, most: 60_000 };

/**
 * Files that a worker has to be given beside the rounds, such as certificates. It runs on a connection of its own and is
 * waited for by nobody: when it fails it is tried again, ever more seldom, and rounds go on.
 */
export class Upkeep {
  readonly #parts: UpkeepParts;
  #running: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = retryMs.first;
  #closed = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** The files, or the worker, may be others. One call while it is under way makes one more turn. */
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
        this.#retryMs = retryMs.first;
        continue;
      }
      // A worker that is being replaced does not answer for a moment.
      if (!unanswered || this.#retryMs > retryMs.first) troubles.failed(part, reason);
      if (this.#closed) return;
      this.#retry = setTimeout(() => this.look(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, retryMs.most);
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
