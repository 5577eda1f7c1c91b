import type { Wait } from '../settings/file-declaration.ts';

/** When a file was first and last found to be out of date, in ms; undefined when it is not. */
export type Pending = { readonly first: number; readonly last: number } | undefined;

export const changedAt = (pending: Pending, now: number): Pending => ({ first: pending?.first ?? now, last: now });

/** When to make it: when it has been quiet for a while, but not for ever later. */
export function dueAt(pending: NonNullable<Pending>, { minMs, maxMs }: Wait): number {
  return Math.min(pending.last + minMs, pending.first + maxMs);
}

/** How long to wait before the next attempt of something that failed `failures` times in a row, in ms. */
export function retryAfter(failures: number): number {
  return Math.min(1000 * 2 ** (failures - 1), 60_000);
}

/**
 * How long to wait before looking again at a file that somebody else changed `times` times lately, in ms: two programs that
 * undo each other's work, or a reload that changes the file itself, must not keep the machine busy.
 */
export function lookAfter(intervalMs: number, times: number): number {
  return Math.max(intervalMs, Math.min(intervalMs * 2 ** times, 60_000));
}
