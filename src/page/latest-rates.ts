import type { Traffic } from '../haproxy/stat.ts';
import { type Counters, countersOf, meanLatencyMs, type Rates, ratesBetween } from '../haproxy/traffic-rates.ts';

/** The activity of a service between the last two looks. */
export type Latest = Rates & {
  /** Of its newest 1024 requests; undefined while there was none. */
  readonly meanMs: number | undefined;
};

type Tracked = { readonly at: number; readonly counters: Counters; readonly latest: Latest | undefined };

/** By the name of the service. */
export type LatestRates = ReadonlyMap<string, Tracked>;

/** Adds a look at all services, at a time in seconds. */
export function addLook(
  before: LatestRates,
  at: number,
  services: readonly { readonly name: string; readonly traffic?: Traffic | undefined }[],
): LatestRates {
  const next = new Map<string, Tracked>();
  for (const { name, traffic } of services) {
    const known = before.get(name);
    if (traffic === undefined) {
      if (known !== undefined) next.set(name, known);
      continue;
    }
    const counters = countersOf(traffic);
    const meanMs = meanLatencyMs(traffic);
    const latest = known && { ...ratesBetween(known.counters, counters, at - known.at), meanMs };
    next.set(name, { at, counters, latest });
  }
  return next;
}

/** All services together; undefined before the second look. */
export function sumOf(rates: LatestRates): Latest | undefined {
  const known = [...rates.values()].flatMap(({ latest }) => latest ?? []);
  if (known.length === 0) return undefined;
  const sum = { requestsPerS: 0, errorsPerS: 0, weighted: 0 };
  for (const { requestsPerS, errorsPerS, meanMs } of known) {
    sum.requestsPerS += requestsPerS;
    sum.errorsPerS += errorsPerS;
    sum.weighted += (meanMs ?? 0) * requestsPerS;
  }
  const { requestsPerS, errorsPerS, weighted } = sum;
  return { requestsPerS, errorsPerS, meanMs: requestsPerS === 0 ? undefined : weighted / requestsPerS };
}
