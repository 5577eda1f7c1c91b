import { hostOfCertificate } from '../model/acme/keys.ts';
import { parseStoredCertificate } from '../model/acme/stored-certificate.ts';
import type { Entry } from '../registry/registry.ts';

/** A balancer serves a certificate within milliseconds, and one that needs a reload within seconds. */
const arrivingMs = 10_000;

/** The keys of the certificates that were issued a moment ago, so that balancers may not serve them yet. */
export function arrivingCertificates(
  entries: Iterable<Pick<Entry, 'key' | 'value'>>,
  now: number,
): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const { key, value } of entries) {
    if (hostOfCertificate(key) === undefined) continue;
    const stored = parseStoredCertificate(value);
    // The clock of the balancer that ordered it may be ahead.
    if (stored.ok && Math.abs(now - Date.parse(stored.value.issuedAt)) < arrivingMs) keys.add(key);
  }
  return keys;
}
