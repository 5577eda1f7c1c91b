import type { ServiceName } from '../../model/name.ts';

/** How often the changes of one service may cause a reload. */
export type ServicePace = {
  /** The number of reloads without a pause. */
  readonly burst: number;
  /** After the burst one reload in this time, in ms. 0: no limit. */
  readonly everyMs: number;
};

/** When a service has its whole burst again, and when its changes were in a reload last, in ms. */
type Used = { readonly fullAt: number; readonly at: number };

/** By service, a token bucket of the reloads that its changes needed. A value. */
export type ReloadBudget = ReadonlyMap<ServiceName, Used>;

export const unusedBudget: ReloadBudget = new Map();

/** The budget after a reload with changes of these services. Services with their whole burst are left out. */
export function spend(
  budget: ReloadBudget,
  services: Iterable<ServiceName>,
  now: number,
  pace: ServicePace,
): ReloadBudget {
  const next = new Map([...budget].filter(([, { fullAt }]) => fullAt > now));
  for (const name of services) {
    const fullAt = Math.max(budget.get(name)?.fullAt ?? now, now) + pace.everyMs;
    // A service whose changes join a reload of others uses no more than its burst.
    next.set(name, { fullAt: Math.min(fullAt, now + pace.burst * pace.everyMs), at: now });
  }
  return next;
}

/**
 * Milliseconds until the changes of a service may cause a reload again. `apartMs` is the least time between its reloads, whatever is
 * left of its burst.
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
