import { balancerOf } from '../../fleet/acknowledgement.ts';
import type { Registry } from '../../registry/registry.ts';

/**
 * The least time between two acknowledgements of a balancer, in ms. Each is a message to every client that waits for the fleet, and a
 * write that takes etcd half a millisecond of processor time (bench/results/scale.md). All balancers together write at most 400 a
 * second, and a balancer of a small fleet 20.
 */
export const acknowledgeEveryMs = (balancers: number): number => Math.max(50, balancers * 2.5);

export type PaceParts = {
  readonly registry: Registry;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
};

const countEveryMs = 60_000;

/** The pace of one balancer. It counts the fleet once a minute while it acknowledges. */
export class AcknowledgePace {
  readonly #parts: PaceParts;
  #balancers = 1;
  #nextAt = 0;
  #countAt = 0;
  #counting: Promise<void> = Promise.resolve();

  constructor(parts: PaceParts) {
    this.#parts = parts;
  }

  /** Milliseconds until the next acknowledgement may begin. */
  get waitMs(): number {
    return Math.max(0, this.#nextAt - this.#parts.now());
  }

  /** An acknowledgement begins. The pause after it is random: all balancers acknowledge the same change and would stay in step. */
  begin(): void {
    const { now, random = Math.random } = this.#parts;
    this.#nextAt = now() + acknowledgeEveryMs(this.#balancers) * (0.75 + random() / 2);
  }

  /** Counts the fleet if it is time, and does not wait for the answer. To be called after each acknowledgement. */
  count(): void {
    const { registry, now, signal } = this.#parts;
    if (now() < this.#countAt) return;
    this.#countAt = now() + countEveryMs;
    this.#counting = registry.read('balancers/', signal).then(
      ({ entries }) => {
        this.#balancers = entries.filter(({ key }) => balancerOf(key) !== undefined).length;
      },
      // The former count is used. The follower of the registry reports its failures.
      () => undefined,
    );
  }

  /** Resolves when the count has ended. */
  close(): Promise<void> {
    return this.#counting;
  }
}
