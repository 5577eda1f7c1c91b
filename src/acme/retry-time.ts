import { backoffMs } from '../waiting/backoff.ts';

const dayMs = 86_400_000;

/** The longest wait that an authority or an entry can ask for, in ms: a clock may be wrong. */
export const mostWaitMs = 7 * dayMs;

/**
 * When a host's order is tried again after `failures` failures in a row, in ms. From a minute to a day; for certificates that live shortly it is
 * sooner, so that there is time for several attempts between the renewal and the end. Never before the authority says.
 */
export function retryMs(
  failures: number,
  lifetimeMs: number | undefined,
  retryAfterMs: number | undefined,
  random: number,
): number {
  const lifetime = lifetimeMs ?? Number.POSITIVE_INFINITY;
  const firstMs = Math.max(Math.min(60_000, lifetime / 48), 250);
  const mostMs = Math.max(Math.min(dayMs, lifetime / 12), firstMs);
  return Math.max(backoffMs({ firstMs, mostMs, jitter: 0.25 }, failures, random), retryAfterMs ?? 0);
}

/** How long no host is tried after the authority could not be reached, in ms. */
export function pauseMs(failures: number, retryAfterMs: number | undefined, random: number): number {
  return Math.max(backoffMs({ firstMs: 2000, mostMs: 300_000, jitter: 0.25 }, failures, random), retryAfterMs ?? 0);
}
