import type { Wait } from '../settings/file-declaration.ts';
import { backoffMs } from '../waiting/backoff.ts';

const mostMs = 60_000;

/** The first and the last time, in ms, that a file was found to be out of date; undefined when it is up to date. */
export type Pending = { readonly first: number; readonly last: number } | undefined;

export const changedAt = (pending: Pending, now: number): Pending => ({ first: pending?.first ?? now, last: now });

/** The time to write the file: `minMs` after the last change, and at most `maxMs` after the first. */
export function dueAt(pending: NonNullable<Pending>, { minMs, maxMs }: Wait): number {
  return Math.min(pending.last + minMs, pending.first + maxMs);
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
