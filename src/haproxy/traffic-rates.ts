import type { Traffic } from './stat.ts';

/** Counts of a service at one time. They begin at 0 with each of HAProxy's workers. */
export type Counters = { readonly requests: number; readonly errors: number };

/**
 * The mean time until an answer begins, of the newest 1024 requests, in ms; undefined without any. HAProxy's total is longer by the
 * time in which a client with a kept connection asked nothing.
 */
export const meanLatencyMs = ({ requests, meanMs: { queue, connect, response } }: Traffic): number | undefined =>
  requests === 0 ? undefined : queue + connect + response;

export type Rates = { readonly requestsPerS: number; readonly errorsPerS: number };

/** `errors`: requests without an answer of the application, or with an answer of status 5xx. */
export const countersOf = ({ requests, answers, failures }: Traffic): Counters => ({
  requests,
  errors: answers['5xx'] + failures.connect + failures.response,
});

/** The rates between two reads. A count that went back began again at 0. */
export function ratesBetween(before: Counters, now: Counters, seconds: number): Rates {
  const perS = (earlier: number, later: number) =>
    (later < earlier ? later : later - earlier) / Math.max(0.001, seconds);
  return { requestsPerS: perS(before.requests, now.requests), errorsPerS: perS(before.errors, now.errors) };
}
