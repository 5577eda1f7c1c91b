import type { Registry } from '../../registry/registry.ts';

/**
 * How long a balancer leaves between two acknowledgements, in ms. Each is a message to everyone who waits for the fleet, and
 * a write that takes etcd half a millisecond of processor time (bench/results/scale.md); so all balancers together write 400 a second at
 * most, and one of a few 20.
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

/** The pace of one balancer: it counts the fleet once a minute, while it has something to say. */
export class AcknowledgePace {
  readonly #parts: PaceParts;
  #balancers = 1;
  #countAt = 0;
  #counting: Promise<void> = Promise.resolve();

  constructor(parts: PaceParts) {
    this.#parts = parts;
  }

  /** How long to wait after this one, in ms; at random, or all would go on in step from the change that they all began with. */
  next(): number {
    const { random = Math.random } = this.#parts;
    return acknowledgeEveryMs(this.#balancers) * (0.75 + random() / 2);
  }

  /** To be called with each acknowledgement; waits for nothing. */
  count(): void {
    const { registry, now, signal } = this.#parts;
    if (now() < this.#countAt) return;
    this.#countAt = now() + countEveryMs;
    this.#counting = registry.read('balancers/', signal).then(
      ({ entries }) => {
        this.#balancers = entries.length;
      },
      // The count of before stands. Whoever follows the registry says what is wrong with it.
      () => undefined,
    );
  }

  /** Resolves when nothing is being asked any more. */
  close(): Promise<void> {
    return this.#counting;
  }
}
