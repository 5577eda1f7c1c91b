import type { Graveyard } from '../haproxy/plan.ts';
import type { RuntimeLink } from '../haproxy/runtime-link.ts';
import type { BalanceMetrics } from './metrics.ts';

/** Servers that left and still close connections, which HAProxy does not delete before. */
export class Burials {
  readonly #metrics: BalanceMetrics;
  readonly #servers = new Map<string, string>();

  constructor(metrics: BalanceMetrics) {
    this.#metrics = metrics;
  }

  /** By `backend/server`, with the line each had. */
  get servers(): Graveyard {
    return this.#servers;
  }

  linger(at: string, line: string): void {
    this.#servers.set(at, line);
    this.#count();
  }

  /** It serves again. */
  revive(at: string): void {
    this.#servers.delete(at);
    this.#count();
  }

  /** The worker that they were in does not serve any more. */
  clear(): void {
    this.#servers.clear();
    this.#count();
  }

  /** Deletes those whose connections are closed by now. */
  async bury(link: RuntimeLink): Promise<void> {
    for (const at of await link.bury(this.#servers)) this.#servers.delete(at);
    this.#count();
  }

  #count(): void {
    this.#metrics.graveyard.set(this.#servers.size);
  }
}
