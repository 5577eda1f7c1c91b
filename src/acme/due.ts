import type { OrderRecord } from '../model/acme/order-record.ts';
import type { StoredCertificate } from '../model/acme/stored-certificate.ts';
import { leastRestMs, renewalTimeOf, type Validity } from './renewal-time.ts';
import { mostWaitMs } from './retry-time.ts';

/** A certificate of the registry as the leader sees it. */
export type KnownCertificate = {
  readonly stored: StoredCertificate;
  readonly validity: Validity;
  /** Whether the leader's sealing keys open its private key. */
  readonly canOpen: boolean;
};

/** What is known about a host that needs a certificate. */
export type HostState = {
  /** Undefined: there is none, or none that can be read. */
  readonly certificate: KnownCertificate | undefined;
  readonly record: OrderRecord | undefined;
  /** Whether an operator asked for a new one. */
  readonly asked: boolean;
};

export type Due =
  /** An order begins, or goes on. */
  | { readonly kind: 'order'; readonly reason: OrderRecord['reason'] }
  /** Nothing is to be done before this time. */
  | { readonly kind: 'wait'; readonly until: number }
  /** Waiting does not help. */
  | { readonly kind: 'stuck'; readonly reason: string };

/** What is to be done for a host. */
export function dueOf({ certificate, record, asked }: HostState, authority: string, now: number): Due {
  const isUnderWay = record?.order !== undefined && record.authority === authority;
  if (asked) return { kind: 'order', reason: 'asked' };
  const nextTry = waitOf(record, now);
  if (nextTry !== undefined) return { kind: 'wait', until: nextTry };
  if (isUnderWay) return { kind: 'order', reason: record.reason };
  if (certificate === undefined) return { kind: 'order', reason: 'first' };
  if (!certificate.canOpen) {
    // Another balancer may be able to open it, and serve it: a new one would hide that this balancer has the wrong file.
    const reason = "the file of --sealing-keys has not the key that seals this certificate's private key";
    return { kind: 'stuck', reason };
  }
  // After a failed first attempt the record says why it is ordered.
  if (record?.reason === 'asked') return { kind: 'order', reason: 'asked' };
  const { stored } = certificate;
  if (stored.authority !== undefined && stored.authority !== authority) return { kind: 'order', reason: 'renewal' };
  const ordered = Date.parse(stored.issuedAt);
  // An entry that a person wrote is replaced by an order, so it cannot be due again and again. Nor does a time to come say when it was ordered.
  const rests = stored.authority !== undefined && ordered <= now ? ordered + leastRestMs(certificate.validity) : 0;
  const until = Math.max(renewalTimeOf(stored, certificate.validity), rests);
  return now >= until ? { kind: 'order', reason: 'renewal' } : { kind: 'wait', until };
}

/** When a host is tried again; undefined: now. No leader with the right time writes a time that is later than `mostWaitMs`. */
export function waitOf(record: OrderRecord | undefined, now: number): number | undefined {
  const nextTry = record?.nextTry === undefined ? now : Date.parse(record.nextTry);
  return nextTry > now && nextTry <= now + mostWaitMs ? nextTry : undefined;
}
