import type { Wait } from '../settings/file-declaration.ts';
import { backoffMs } from '../waiting/backoff.ts';

const mostMs = 60_000;

/** When a file was found to be out of date, in ms; undefined when it is up to date. */
export type Pending =
  | {
      readonly first: number;
      readonly last: number;
      /** How long nothing had changed before the first change. */
      readonly quietMs: number;
    }
  | undefined;

/** `before`: the time of the last change that is known, whether the file was made since or not. */
export const changedAt = (pending: Pending, now: number, before: number): Pending => ({
  first: pending?.first ?? now,
  last: now,
  quietMs: pending?.quietMs ?? now - before,
});

/**
 * The time to write the file: `minMs` after the last change, and at most `maxMs` after the first. With `lead`, at once for a single
 * change after a quiet time.
 */
export function dueAt({ first, last, quietMs }: NonNullable<Pending>, { minMs, maxMs, lead = false }: Wait): number {
  if (lead && first === last && quietMs >= minMs) return first;
  return Math.min(last + minMs, first + maxMs);
}

/** Milliseconds before the next attempt after `failures` failures in a row. */
export function retryAfter(failures: number): number {
  return backoffMs({ firstMs: 1000, mostMs }, failures);
}

/**
 * Milliseconds before the next look at a file that somebody else changed `times` times lately. Two programs that undo each
 * other's work, or a reload that changes the file itself, must not keep the machine busy.
 */
export function lookAfter(intervalMs: number, times: number): number {
  return Math.max(intervalMs, backoffMs({ firstMs: intervalMs, mostMs }, times + 1));
}
