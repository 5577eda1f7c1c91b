import type { ServiceName } from '../../model/name.ts';

/** How often HAProxy has refused versions of a service lately. */
type Refusals = {
  readonly count: number;
  /** Why it refused the last one. */
  readonly reason: string;
  /** When another version may be checked, in ms. */
  readonly dueAt: number;
};

/** By service, its refusals of the last minutes. A value. */
export type RecentRefusals = ReadonlyMap<ServiceName, Refusals>;

export const noRefusals: RecentRefusals = new Map();

/** The wait after the second refusal, and the most, in ms. After the first one there is none: most people correct it then. */
export type RefusalWaits = { readonly firstMs: number; readonly mostMs: number };

export const refusalWaits: RefusalWaits = { firstMs: 1000, mostMs: 60_000 };
/** A service whose versions were not refused for so long after its wait begins anew, in ms. */
const forgottenAfterMs = 300_000;

const waitMs = (count: number, waits: RefusalWaits): number =>
  count < 2 ? 0 : Math.min(waits.firstMs * 2 ** Math.min(count - 2, 30), waits.mostMs);

const isRecent = ({ dueAt }: Refusals, now: number): boolean => now < dueAt + forgottenAfterMs;

/** HAProxy refused a version of each of these services, for the reason. */
export function refusedAgain(
  recent: RecentRefusals,
  reasons: ReadonlyMap<ServiceName, string>,
  waits: RefusalWaits,
  now: number,
): RecentRefusals {
  const next = new Map([...recent].filter(([, one]) => isRecent(one, now)));
  for (const [service, reason] of reasons) {
    const count = (next.get(service)?.count ?? 0) + 1;
    next.set(service, { count, reason, dueAt: now + waitMs(count, waits) });
  }
  return next;
}

/** A version of this service was checked by itself and accepted. The one after it waits as long. */
export function acceptedAlone(
  recent: RecentRefusals,
  service: ServiceName,
  waits: RefusalWaits,
  now: number,
): RecentRefusals {
  const known = recent.get(service);
  return known === undefined
    ? recent
    : new Map(recent).set(service, { ...known, dueAt: now + waitMs(known.count, waits) });
}

/**
 * The services whose next version is checked by itself before it takes part in a reload that others need, each with why: more
 * than one of their versions was refused lately.
 */
export function checkedAlone(recent: RecentRefusals, now: number): ReadonlyMap<ServiceName, string> {
  const those = [...recent].filter(([, one]) => one.count > 1 && isRecent(one, now));
  return new Map(
    those.map(([service, { count, reason }]) => [
      service,
      `HAProxy refused ${count} versions lately, so the newest one is checked by itself before it is used; the last refusal: ${reason}`,
    ]),
  );
}

/** In how many ms a version of this service may be checked by itself. */
export function dueInMs(recent: RecentRefusals, service: ServiceName, now: number): number {
  return Math.max(0, (recent.get(service)?.dueAt ?? now) - now);
}
