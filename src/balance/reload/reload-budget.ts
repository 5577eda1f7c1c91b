import type { ServiceName } from '../../model/name.ts';

/** How often the changes of one service may need a reload. */
export type ServicePace = {
  /** So many reloads at once. */
  readonly burst: number;
  /** And then one each so many ms. 0: as many as there are. */
  readonly everyMs: number;
};

/** When a service would have its whole burst again, and when its changes were in a reload last, in ms. */
type Used = { readonly fullAt: number; readonly at: number };

/** By service, what the reloads that its changes needed have used up: a token bucket each. A value. */
export type ReloadBudget = ReadonlyMap<ServiceName, Used>;

export const unusedBudget: ReloadBudget = new Map();

/** These services' changes were in a reload. Services that have used up nothing by now are forgotten. */
export function spend(
  budget: ReloadBudget,
  services: Iterable<ServiceName>,
  now: number,
  pace: ServicePace,
): ReloadBudget {
  const next = new Map([...budget].filter(([, { fullAt }]) => fullAt > now));
  for (const name of services) {
    const fullAt = Math.max(budget.get(name)?.fullAt ?? now, now) + pace.everyMs;
    // Those that come along with a reload which others need use up no more than there is.
    next.set(name, { fullAt: Math.min(fullAt, now + pace.burst * pace.everyMs), at: now });
  }
  return next;
}

/**
 * In how many ms the changes of a service may need a reload again; 0: now. `apartMs`: its reloads have to be at least so far apart,
 * whatever is left of its burst.
 */
export function waitOf(
  budget: ReloadBudget,
  service: ServiceName,
  now: number,
  { burst, everyMs }: ServicePace,
  apartMs = 0,
): number {
  const used = budget.get(service);
  if (used === undefined || everyMs === 0) return 0;
  return Math.max(0, used.fullAt - now - (burst - 1) * everyMs, used.at + apartMs - now);
}
