import type { StoredCertificate } from '../model/acme/stored-certificate.ts';
import type { RenewalAdvice } from './protocol/authority.ts';

/** When a certificate is valid, by the wall clock, in ms. */
export type Validity = { readonly from: number; readonly until: number };

type RenewalTime = Pick<StoredCertificate, 'renewAt' | 'renewBy'>;

/** How much earlier than at two thirds of its lifetime a certificate may be renewed, so that a fleet's hosts spread. */
const jitter = 1 / 12;

const at = (ms: number): string => new Date(ms).toISOString();

/** Two thirds of the lifetime, and up to a twelfth of it earlier. `random` is from 0 to 1. */
export function renewalByLifetime({ from, until }: Validity, random: number): RenewalTime {
  const lifetime = until - from;
  return { renewAt: at(from + lifetime * (2 / 3 - jitter * random)), renewBy: 'lifetime' };
}

/** A time in the window that the authority advises; the one before stays if it is in the window. */
export function renewalByAdvice(
  { start, end }: RenewalAdvice,
  before: RenewalTime,
  { until }: Validity,
  random: number,
): RenewalTime {
  const known = before.renewAt === undefined ? Number.NaN : Date.parse(before.renewAt);
  if (before.renewBy === 'advice' && known >= start && known <= end) return before;
  // Whatever the authority advises, a certificate that has ended is of no use.
  return { renewAt: at(Math.min(start + (end - start) * random, until)), renewBy: 'advice' };
}

/** When the advice is asked for again, in ms: as the authority says, between a minute and a day (RFC 9773, section 4.3.2). */
export function nextAdviceMs({ retryAfterMs }: Pick<RenewalAdvice, 'retryAfterMs'>): number {
  return Math.min(Math.max(retryAfterMs ?? 6 * 3_600_000, 60_000), 86_400_000);
}
