const perDoubling = 8;
/** HAProxy's longest timeout is seven days, which is bucket 234. */
const buckets = 240;

/** How long the requests of one step took, counted in buckets that are 9 % wide. */
export class Latencies {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;

  add(ms: number): void {
    const bucket = Math.min(buckets - 1, Math.round(Math.log2(1 + Math.max(0, ms)) * perDoubling));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
  }

  /** The time within which this share of the requests was answered; undefined without requests. */
  within(share: number): number | undefined {
    let left = share * this.#count;
    for (let bucket = 0; bucket < buckets; bucket += 1) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0 && this.#count > 0) return 2 ** (bucket / perDoubling) - 1;
    }
    return undefined;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }
}
