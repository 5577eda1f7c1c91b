// With the pauses between rounds about as long as an election takes.
const passedOver = 4;

/**
 * Which member is asked next: one after the other, in an order of our own. One that did not answer at all is passed over for
 * some rounds, because finding that out costs seconds each time, while the others may only be choosing a leader.
 */
export class Rotation {
  readonly #order: readonly string[];
  #at = 0;
  #round = 0;
  /** The round from which on a member is asked again. */
  readonly #again = new Map<string, number>();

  /** `random`: 0 ≤ x < 1. */
  constructor(endpoints: readonly string[], random: () => number) {
    this.#order = shuffled(endpoints, random);
  }

  get current(): string {
    return this.#order[this.#at] ?? '';
  }

  get size(): number {
    return this.#order.length;
  }

  /** Leaves the current one, which failed: by its silence or otherwise. */
  next(silent: boolean): void {
    if (silent) this.#again.set(this.current, this.#round + 1 + passedOver);
    for (let i = 0; i < this.#order.length; i += 1) {
      this.#step();
      if ((this.#again.get(this.current) ?? 0) <= this.#round) return;
    }
    // All are silent: in turn, as if none were.
    this.#again.clear();
    this.#step();
  }

  #step(): void {
    this.#at = (this.#at + 1) % this.#order.length;
    if (this.#at === 0) this.#round += 1;
  }
}

/** A random order, so that many clients spread over the members. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [order[i], order[j]];
    if (a !== undefined && b !== undefined) [order[i], order[j]] = [b, a];
  }
  return order;
}
