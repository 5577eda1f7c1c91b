import type { Logger } from 'pino';

/** A live balancer does not answer the authority's question yet. No host is to blame. */
export class FleetBehind extends Error {
  override readonly name = 'FleetBehind';
  /** Resolves when every live balancer has caught up, or `signal` aborts. */
  readonly caughtUp: (signal: AbortSignal) => Promise<unknown>;

  constructor(message: string, caughtUp: (signal: AbortSignal) => Promise<unknown>) {
    super(message);
    this.caughtUp = caughtUp;
  }
}

export type FleetWaitParts = {
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly onCaughtUp: () => void;
};

/** How long the hosts wait for a fleet that does not catch up, in ms: a wait does not grow, because no order has failed. */
const retryMs = 60_000;

/** The hosts whose orders wait for balancers that are behind. */
export class FleetWait {
  readonly #parts: FleetWaitParts;
  readonly #waiting = new Set<string>();
  readonly #ready = new Set<string>();
  #watches = false;
  /** No order begins before this time (of the monotonic clock): it would wait for the same balancers. */
  until = 0;

  constructor(parts: FleetWaitParts) {
    this.#parts = parts;
  }

  /** Gives the longest wait until the next try, in ms. */
  add(host: string, { message, caughtUp }: FleetBehind): number {
    const { logger, now } = this.#parts;
    this.#waiting.add(host);
    this.until = now() + retryMs;
    if (!this.#watches) {
      logger.warn(
        { event: 'certificate-fleet-behind', host, reason: message },
        `orders of certificates wait for the fleet: ${message}`,
      );
      void this.#watch(caughtUp);
    }
    return retryMs;
  }

  /** Whether the fleet has caught up since this host's order waited for it. */
  isReady(host: string): boolean {
    return this.#ready.has(host);
  }

  /** To be called when the order of this host goes on. */
  remove(host: string): void {
    this.#waiting.delete(host);
    this.#ready.delete(host);
  }

  async #watch(caughtUp: FleetBehind['caughtUp']): Promise<void> {
    const { signal, onCaughtUp } = this.#parts;
    this.#watches = true;
    await caughtUp(signal).catch(() => undefined);
    this.#watches = false;
    this.until = 0;
    for (const host of this.#waiting) this.#ready.add(host);
    this.#waiting.clear();
    onCaughtUp();
  }
}
