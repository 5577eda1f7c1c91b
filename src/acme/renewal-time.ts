import type { StoredCertificate } from '../model/acme/stored-certificate.ts';
import type { RenewalAdvice } from './protocol/authority.ts';

/** When a certificate is valid, by the wall clock, in ms. */
export type Validity = { readonly from: number; readonly until: number };

type RenewalTime = Pick<StoredCertificate, 'renewAt' | 'renewBy'>;

/** How much earlier than at two thirds of its lifetime a certificate may be renewed, so that a fleet's hosts spread. */
const jitter = 1 / 12;

const at = (ms: number): string => new Date(ms).toISOString();

/** The latest share of its lifetime at which a certificate is renewed: failures need time for further attempts. */
const latestShare = 5 / 6;

const isTooLate = (ms: number, { from, until }: Validity): boolean => ms > from + (until - from) * latestShare;

/**
 * How long after its order a certificate is renewed at the earliest, in ms, whatever the authority and the clock say: otherwise it would be
 * ordered again at once, for ever. A twelfth of the lifetime, from a minute (less for very short lifetimes) to 36 hours.
 */
export function leastRestMs({ from, until }: Validity): number {
  const lifetime = until - from;
  return Math.max(Math.min(lifetime / 12, 36 * 3_600_000), Math.min(lifetime / 3, 60_000), 1000);
}

/** Puts off a renewal that would begin too soon after the order. */
export function notTooSoon(time: RenewalTime, issuedAt: string, validity: Validity): RenewalTime {
  const earliest = Date.parse(issuedAt) + leastRestMs(validity);
  return time.renewAt !== undefined && Date.parse(time.renewAt) < earliest ? { ...time, renewAt: at(earliest) } : time;
}

/** When it is renewed. The entry of an operator need not say it, and a time without room for further attempts does not count. */
export function renewalTimeOf({ renewAt }: Pick<StoredCertificate, 'renewAt'>, validity: Validity): number {
  const said = renewAt === undefined ? undefined : Date.parse(renewAt);
  if (said !== undefined && !isTooLate(said, validity)) return said;
  return validity.from + ((validity.until - validity.from) * 2) / 3;
}

/** Two thirds of the lifetime, and up to a twelfth of it earlier. `random` is from 0 to 1. */
export function renewalByLifetime({ from, until }: Validity, random: number): RenewalTime {
  const lifetime = until - from;
  return { renewAt: at(from + lifetime * (2 / 3 - jitter * random)), renewBy: 'lifetime' };
}

/** A time in the window that the authority advises; the one before stays if it is in the window. Advice that is too late does not count. */
export function renewalByAdvice(
  { start, end }: RenewalAdvice,
  before: RenewalTime,
  validity: Validity,
  random: number,
): RenewalTime {
  const known = before.renewAt === undefined ? Number.NaN : Date.parse(before.renewAt);
  const isKept = before.renewBy === 'advice' && known >= start && known <= end;
  const advised = isKept ? known : start + (end - start) * random;
  if (isTooLate(advised, validity)) return before.renewBy === 'lifetime' ? before : renewalByLifetime(validity, random);
  return isKept ? before : { renewAt: at(advised), renewBy: 'advice' };
}

/** When the advice is asked for again, in ms: as the authority says, between a minute and a day (RFC 9773, section 4.3.2). */
export function nextAdviceMs({ retryAfterMs }: Pick<RenewalAdvice, 'retryAfterMs'>): number {
  return Math.min(Math.max(retryAfterMs ?? 6 * 3_600_000, 60_000), 86_400_000);
}
