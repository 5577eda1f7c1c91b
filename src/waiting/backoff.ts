/** The pauses between attempts. Each failure in a row doubles the pause. */
export type Backoff = {
  /** The pause after the first failure. */
  readonly firstMs: number;
  /** The longest pause. */
  readonly mostMs: number;
  /** The part of a pause that is random, from 0 (none) to 1 (all of it). Random pauses keep many from trying at the same time. */
  readonly jitter?: number;
};

/** Milliseconds before the attempt that follows `failures` failures in a row. `random` is from 0 to 1. */
export function backoffMs({ firstMs, mostMs, jitter = 0 }: Backoff, failures: number, random = 1): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 30);
  return Math.min(firstMs * 2 ** doublings, mostMs) * (1 - jitter + jitter * random);
}
