import type { Traffic } from '../haproxy/stat.ts';

/** The activity of a service between two reads. `at` in seconds since 1970, as plots need it. */
export type Sample = {
  readonly at: number;
  readonly requestsPerS: number;
  readonly errorsPerS: number;
  /** Of its newest 1024 requests; undefined while there was none. */
  readonly meanMs: number | undefined;
};

type Counters = { readonly at: number; readonly requests: number; readonly errors: number };
type Tracked = { readonly last: Counters; readonly samples: readonly Sample[] };

/** The rates of each service, by name. */
export type RateHistory = ReadonlyMap<string, Tracked>;

/** Five minutes, at one look every two seconds. */
const mostSamples = 150;

/** Requests without an answer of the application, or with an answer of status 5xx. */
const errorsOf = ({ answers, failures }: Traffic): number => answers['5xx'] + failures.connect + failures.response;

/** Adds a read of all services. Counters begin at 0 with each of HAProxy's workers. */
export function addLook(
  history: RateHistory,
  at: number,
  services: readonly { readonly name: string; readonly traffic?: Traffic | undefined }[],
): RateHistory {
  const next = new Map<string, Tracked>();
  for (const { name, traffic } of services) {
    const known = history.get(name);
    if (traffic === undefined) {
      if (known !== undefined) next.set(name, known);
      continue;
    }
    const last = { at, requests: traffic.requests, errors: errorsOf(traffic) };
    const samples = known === undefined ? [] : [...known.samples, sampleOf(known.last, last, traffic)];
    next.set(name, { last, samples: samples.slice(-mostSamples) });
  }
  return next;
}

function sampleOf(before: Counters, now: Counters, { requests, meanMs }: Traffic): Sample {
  const seconds = Math.max(0.001, now.at - before.at);
  const since = (earlier: number, later: number) => (later < earlier ? later : later - earlier) / seconds;
  return {
    at: now.at,
    requestsPerS: since(before.requests, now.requests),
    errorsPerS: since(before.errors, now.errors),
    meanMs: requests === 0 ? undefined : meanMs.total,
  };
}

/** All services together, look by look. */
export function sumOf(history: RateHistory): readonly Sample[] {
  const byTime = new Map<number, { requestsPerS: number; errorsPerS: number; weighted: number }>();
  for (const { samples } of history.values()) {
    for (const { at, requestsPerS, errorsPerS, meanMs } of samples) {
      const sum = byTime.get(at) ?? { requestsPerS: 0, errorsPerS: 0, weighted: 0 };
      sum.requestsPerS += requestsPerS;
      sum.errorsPerS += errorsPerS;
      sum.weighted += (meanMs ?? 0) * requestsPerS;
      byTime.set(at, sum);
    }
  }
  return [...byTime]
    .sort(([a], [b]) => a - b)
    .map(([at, { requestsPerS, errorsPerS, weighted }]) => ({
      at,
      requestsPerS,
      errorsPerS,
      meanMs: requestsPerS === 0 ? undefined : weighted / requestsPerS,
    }));
}
