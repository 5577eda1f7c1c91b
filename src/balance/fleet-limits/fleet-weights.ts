import type { RateCount, RateCounts } from '../../fleet/rate-counts.ts';
import { shareOf, weightOf } from '../../fleet/rate-share.ts';
import type { ServiceName } from '../../model/name.ts';
import type { RateLimit } from '../../model/policy/rate-limit.ts';

/** The limits of the fleet, by service. */
export type FleetRateLimits = ReadonlyMap<ServiceName, Pick<RateLimit, 'requests' | 'perMs'>>;

/** The key of the map for all clients without a key of their own. No service has it: see `isTableKey`. */
export const everyClient = 'fleet';

const nothing: RateCount = { asked: 0, passed: 0 };
/** Most keys that one service may tell others about, so that it leaves room for other services. */
const mostOfService = 100;

/** The service that a key of a stick table is of. */
const serviceOfKey = (key: string): ServiceName => key.slice(0, key.indexOf('/')) as ServiceName;

/**
 * A balancer tells the others about keys with more requests than this, and they answer with their own counts of them. A key that no
 * balancer tells about is below half of the limit.
 */
export const busyAbove = ({ requests }: Pick<RateLimit, 'requests'>, balancers: number): number =>
  Math.floor(requests / (2 * balancers));

/** The counts to report to the other balancers: of busy keys, and of the keys that others report. */
export function countsToTell(
  limits: FleetRateLimits,
  balancers: number,
  own: RateCounts,
  others: readonly RateCounts[],
  most: number,
): RateCounts {
  const byLoad: { readonly key: string; readonly count: RateCount; readonly load: number }[] = [];
  for (const [key, count] of own) {
    const limit = limits.get(serviceOfKey(key));
    if (limit === undefined || count.asked === 0) continue;
    if (count.asked <= busyAbove(limit, balancers) && !others.some((counts) => counts.has(key))) continue;
    byLoad.push({ key, count, load: count.asked / limit.requests });
  }
  byLoad.sort((a, b) => b.load - a.load);
  const told = new Map<string, RateCount>();
  const ofService = new Map<ServiceName, number>();
  for (const { key, count } of byLoad) {
    const service = serviceOfKey(key);
    const before = ofService.get(service) ?? 0;
    if (told.size >= most) break;
    if (before >= mostOfService) continue;
    ofService.set(service, before + 1);
    told.set(key, count);
  }
  return told;
}

/** As how many thousandths of a request one request counts at this balancer, by key of the map. `own`: what it told the others. */
export function weightsOf(
  limits: FleetRateLimits,
  balancers: number,
  own: RateCounts,
  others: readonly RateCounts[],
): ReadonlyMap<string, number> {
  const weights = new Map([[everyClient, balancers * 1000]]);
  if (balancers === 1) return weights;
  for (const key of new Set([own, ...others].flatMap((counts) => [...counts.keys()]))) {
    const limit = limits.get(serviceOfKey(key));
    if (limit === undefined) continue;
    const told = others.flatMap((counts) => counts.get(key) ?? []);
    const silent = Array.from({ length: Math.max(0, balancers - 1 - told.length) }, () => nothing);
    weights.set(key, weightOf(limit.requests, shareOf(limit, [own.get(key) ?? nothing, ...told, ...silent])));
  }
  return weights;
}

/** The file of the map: one `key value` a line, sorted. */
export const formatWeights = (weights: ReadonlyMap<string, number>): string =>
  [...weights]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, weight]) => `${key} ${weight}\n`)
    .join('');
