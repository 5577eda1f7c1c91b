import { setTimeout as pause } from 'node:timers/promises';
import { backoffMs } from '../waiting/backoff.ts';

export type ApplierParts<T> = {
  readonly initial: T;
  /** Rejects when it did not succeed. */
  readonly apply: (desired: T, signal: AbortSignal) => Promise<void>;
  readonly onFailed: (error: unknown) => 'try again' | 'give up';
  /** 0 ≤ x < 1. */
  readonly random: () => number;
};

/**
 * The pause before the next attempt after the registry refused one. An operator has to correct a password or a
 * permission first, and each login costs etcd the hashing of a password.
 */
const retry = { firstMs: 500, mostMs: 10_000, jitter: 0.5 };

/** Applies the newest desired state, one attempt after the other, until an attempt succeeds. */
export class Applier<T extends object> {
  readonly #parts: ApplierParts<T>;
  #desired: T;
  #applied: T;
  #attempt = new AbortController();
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: ApplierParts<T>) {
    this.#parts = parts;
    this.#desired = parts.initial;
    this.#applied = parts.initial;
  }

  get desired(): T {
    return this.#desired;
  }

  /** Whether the newest desired state was applied. */
  get isApplied(): boolean {
    return this.#desired === this.#applied;
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  /** Ends an attempt that is under way, and applies `desired`. */
  set(desired: T): void {
    this.#desired = desired;
    this.#interrupt();
  }

  /** Resolves when no attempt is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#interrupt();
    await this.#running;
  }

  #interrupt(): void {
    this.#attempt.abort();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const desired = this.#desired;
      if (desired === this.#applied) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#attempt = new AbortController();
      const { signal } = this.#attempt;
      await this.#apply(desired, signal);
      if (!signal.aborted) this.#applied = desired;
    }
  }

  /** Tries until it succeeds, has to give up, or `signal` aborts. */
  async #apply(desired: T, signal: AbortSignal): Promise<void> {
    const { apply, onFailed, random } = this.#parts;
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        return await apply(desired, signal);
      } catch (error) {
        if (signal.aborted || onFailed(error) === 'give up') return;
        await pause(backoffMs(retry, failures, random()), undefined, { signal }).catch(() => undefined);
      }
    }
  }
}
