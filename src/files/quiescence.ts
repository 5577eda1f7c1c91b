import type { Wait } from '../settings/file-declaration.ts';

/** When a file was first and last found to be out of date, in ms; undefined when it is not. */
export type Pending = { readonly first: number; readonly last: number } | undefined;

export const changedAt = (pending: Pending, now: number): Pending => ({ first: pending?.first ?? now, last: now });

/** When to make it: when it has been quiet for a while, but not for ever later. */
export function dueAt(pending: NonNullable<Pending>, { minMs, maxMs }: Wait): number {
  return Math.min(pending.last + minMs, pending.first + maxMs);
}

/** How long to wait before the next attempt of something that failed `failures` times; undefined: no more of them. */
export function retryAfter(failures: number): number | undefined {
  return [1000, 2000, 4000, 8000, 16_000][failures - 1];
}
