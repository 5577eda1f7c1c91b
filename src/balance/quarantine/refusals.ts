import type { ServiceName } from '../../model/name.ts';
import { type Backoff, backoffMs } from '../../waiting/backoff.ts';

type Refusals = {
  readonly count: number;
  readonly reason: string;
  /** When another version may be checked, in ms. */
  readonly dueAt: number;
};

/** By service, how often HAProxy refused its versions lately. */
export type RecentRefusals = ReadonlyMap<ServiceName, Refusals>;

export const noRefusals: RecentRefusals = new Map();

/** The waits from the second refusal on. There is none after the first: most people correct their mistake then. */
export const refusalWaits = { firstMs: 1000, mostMs: 60_000 };
/** After this time without a refusal, the count begins again, in ms. */
const forgottenAfterMs = 300_000;

const waitMs = (count: number, waits: Backoff): number => (count < 2 ? 0 : backoffMs(waits, count - 1));

const isRecent = ({ dueAt }: Refusals, now: number): boolean => now < dueAt + forgottenAfterMs;

export function refusedAgain(
  recent: RecentRefusals,
  reasons: ReadonlyMap<ServiceName, string>,
  waits: Backoff,
  now: number,
): RecentRefusals {
  const next = new Map([...recent].filter(([, one]) => isRecent(one, now)));
  for (const [service, reason] of reasons) {
    const count = (next.get(service)?.count ?? 0) + 1;
    next.set(service, { count, reason, dueAt: now + waitMs(count, waits) });
  }
  return next;
}

/** HAProxy accepted a version of this service by itself. The next version waits as long. */
export function acceptedAlone(
  recent: RecentRefusals,
  service: ServiceName,
  waits: Backoff,
  now: number,
): RecentRefusals {
  const known = recent.get(service);
  return known === undefined
    ? recent
    : new Map(recent).set(service, { ...known, dueAt: now + waitMs(known.count, waits) });
}

/**
 * The services whose next version is checked by itself before it takes part in a reload that others need, each with the reason:
 * HAProxy refused more than one of their versions lately.
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

/** Milliseconds until a version of this service may be checked by itself. */
export function dueInMs(recent: RecentRefusals, service: ServiceName, now: number): number {
  return Math.max(0, (recent.get(service)?.dueAt ?? now) - now);
}
