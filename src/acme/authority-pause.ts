import type { AuthorityError } from './protocol/authority-error.ts';
import { mostWaitMs, pauseMs } from './retry-time.ts';

export type AuthorityPauseParts = {
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly random: () => number;
};

/** From this many hosts on, the authority itself is the likely cause. */
const severalHosts = 3;

/**
 * How long an authority is left alone that is broken or cannot be reached. One host may be its cause, and waits alone; several in a row are not,
 * and all hosts wait.
 */
export class AuthorityPause {
  readonly #parts: AuthorityPauseParts;
  /** How often it was so for a host in a row. */
  readonly #times = new Map<string, number>();
  /** The hosts for which it was so, without another answer in between. */
  readonly #row = new Set<string>();
  #failures = 0;
  #until = 0;

  constructor(parts: AuthorityPauseParts) {
    this.#parts = parts;
  }

  /** No order is tried before this time (of the monotonic clock). */
  get until(): number {
    return this.#until;
  }

  /** How many pauses of all hosts there were in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** To be called when the authority has carried out, or refused, an order of this host. */
  answered(host: string): void {
    this.#times.delete(host);
    this.#row.clear();
  }

  end(): void {
    this.#failures = 0;
    this.#until = 0;
  }

  /** How long this host waits, in ms. */
  waitMs(host: string, { isShared, retryAfterMs }: AuthorityError): number {
    if (isShared) return this.all(retryAfterMs);
    const times = (this.#times.get(host) ?? 0) + 1;
    this.#times.set(host, times);
    this.#row.add(host);
    if (this.#row.size >= severalHosts) return this.all(retryAfterMs);
    return pauseMs(times, retryAfterMs, this.#parts.random());
  }

  /** Lets all hosts wait. Orders that fail in the same pause count once. Gives its length in ms. */
  all(retryAfterMs: number | undefined): number {
    const { now, random } = this.#parts;
    if (now() >= this.#until) this.#failures += 1;
    const ms = Math.min(pauseMs(this.#failures, retryAfterMs, random()), mostWaitMs);
    this.#until = Math.max(this.#until, now() + ms);
    return this.#until - now();
  }
}
