/** One observation of a lease's heartbeat: the mtime of its file, undefined without a file. */
export type Heartbeat = { readonly beat: bigint | undefined; readonly ttlMs: number };

type Watched = { beat: bigint | undefined; silentMs: number; lookedAt: number };

/**
 * Decides which leases are dead: those whose heartbeat did not change for their TTL, by this process's monotonic clock. Clocks
 * of other machines and jumps of the wall clock do not matter, except at the first look, when only the file's age by the wall
 * clock is known.
 *
 * Time between two looks counts only up to `mostCountedMs`: when this process or the whole machine slept, the owners of the
 * leases may have slept too, and need time for a heartbeat.
 */
export class Silence {
  readonly #mostCountedMs: number;
  readonly #watched = new Map<string, Watched>();

  constructor(mostCountedMs: number) {
    this.#mostCountedMs = mostCountedMs;
  }

  /** Takes a look and answers whether the lease is dead. `ageMs` is its wall-clock age, for a first look. */
  look(lease: string, heartbeat: Heartbeat, ageMs: number, now: number): boolean {
    const known = this.#watched.get(lease);
    if (known === undefined) {
      const silentMs = Math.max(0, ageMs);
      this.#watched.set(lease, { beat: heartbeat.beat, silentMs, lookedAt: now });
      return silentMs > heartbeat.ttlMs;
    }
    const passed = Math.min(Math.max(0, now - known.lookedAt), this.#mostCountedMs);
    known.silentMs = known.beat === heartbeat.beat ? known.silentMs + passed : 0;
    known.beat = heartbeat.beat;
    known.lookedAt = now;
    return known.silentMs > heartbeat.ttlMs;
  }

  /** Forgets leases that hold nothing any more. */
  keepOnly(leases: ReadonlyMap<string, unknown>): void {
    for (const lease of this.#watched.keys()) if (!leases.has(lease)) this.#watched.delete(lease);
  }
}
