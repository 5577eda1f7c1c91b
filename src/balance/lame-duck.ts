import type { Logger } from 'pino';

/** A balancer that serves and is not ready any more, for it is about to stop. */
export type LeavingStatus = {
  readonly sinceMs: number;
  /** Time until HAProxy stops taking connections, in ms. */
  readonly stopsInMs: number;
};

export type LameDuckParts = {
  readonly lameDuckMs: number;
  /** Aborted when the balancer is asked to leave. */
  readonly leaving: AbortSignal;
  /** Aborted when the balancer is to end. */
  readonly signal: AbortSignal;
  /** Aborts `signal`. */
  readonly end: () => void;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/**
 * The time between being asked to leave and the end. HAProxy goes on serving in it, so that load balancers and clients see that the
 * balancer is not ready any more, and go elsewhere. A balancer that does not serve yet ends at once.
 */
export class LameDuck {
  readonly #parts: LameDuckParts;
  #leave: (() => void) | undefined;
  #since: number | undefined;

  constructor(parts: LameDuckParts) {
    this.#parts = parts;
    if (parts.leaving.aborted) this.#begin();
    else parts.leaving.addEventListener('abort', () => this.#begin(), { once: true });
  }

  /** HAProxy serves from now on. `leave` has HAProxy ask its clients to close their connections. */
  serves(leave: () => void): void {
    this.#leave = leave;
  }

  /** Undefined while the balancer is not leaving. */
  status(): LeavingStatus | undefined {
    const { lameDuckMs, now } = this.#parts;
    if (this.#since === undefined) return undefined;
    const sinceMs = Math.round(now() - this.#since);
    return { sinceMs, stopsInMs: Math.max(0, lameDuckMs - sinceMs) };
  }

  #begin(): void {
    const { lameDuckMs, signal, end, logger, now } = this.#parts;
    if (signal.aborted) return;
    if (this.#leave === undefined) {
      end();
      return;
    }
    this.#since = now();
    const text = `not ready any more; HAProxy stops in ${lameDuckMs / 1000} s`;
    logger.info({ event: 'leaving', lameDuckMs }, text);
    this.#leave();
    const timer = setTimeout(end, lameDuckMs);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }
}
