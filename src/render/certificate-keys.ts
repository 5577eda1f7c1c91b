import { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import type { Service } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import { waitsForCertificate } from '../model/policy/https.ts';
import { hostsOf, isExact, patternsOver } from '../model/route.ts';
import { acmeTarget, certifiedKey, certifiedName, isCertifiedKey, type RouteTarget } from '../model/route-target.ts';
import type { BaseSettings } from './base-view.ts';

/** What the keys of the route map about certificates follow from. */
export type CertificateKeys = {
  /** The names in the certificates that HAProxy serves. */
  readonly names: PersistentSet<string>;
  /** How many services have a redirect for a host pattern that waits for a certificate. */
  readonly waiting: PersistentMap<string, number>;
  /** The same for the patterns that match all that one of these matches: `*.example.com` for `shop.example.com`. */
  readonly above: PersistentMap<string, number>;
};

export const noCertificateKeys: CertificateKeys = {
  names: PersistentSet(),
  waiting: PersistentMap(),
  above: PersistentMap(),
};

type Policies = { get(name: ServiceName): Pick<Service, 'name' | 'policy'> | undefined };
type Draft = { set(route: string, target: RouteTarget): void; delete(route: string): void };

/**
 * The keys with these services as they are now, and with these names. A name of a certificate has a key from when a redirect waits for it until
 * no certificate has it: rules of a former policy may ask for it until the next reload.
 */
export function changeCertificateKeys(
  known: CertificateKeys,
  dirty: Iterable<ServiceName>,
  { past, present }: { readonly past: Policies; readonly present: Policies },
  names: PersistentSet<string>,
  routes: Draft,
): CertificateKeys {
  const { names: before, waiting, above } = known;
  const [hosts, patterns] = [waiting.asMutable(), above.asMutable()];
  const added = new Set<string>();
  let changed = names !== before;
  for (const name of dirty) {
    const [was, is] = [past.get(name), present.get(name)];
    if (was?.policy === is?.policy) continue;
    const [former, wanted] = [waitingHosts(was), waitingHosts(is)];
    changed ||= former.length + wanted.length > 0;
    for (const host of former) count(hosts, patterns, host, -1);
    for (const host of wanted) {
      count(hosts, patterns, host, 1);
      added.add(host);
    }
  }
  const lead = (name: string) => {
    if (patterns.has(name) || patternsOver(name).some((pattern) => hosts.has(pattern)))
      routes.set(certifiedKey(name), acmeTarget);
  };
  if (names !== before) {
    for (const name of before) if (!names.has(name)) routes.delete(certifiedKey(name));
    for (const name of names) if (!before.has(name)) lead(name);
  }
  for (const host of added) for (const name of namesFor(host, before)) if (names.has(name)) lead(name);
  return changed ? { names, waiting: hosts.asImmutable(), above: patterns.asImmutable() } : known;
}

/**
 * The names that a route map has keys for: a new pointsman takes them for served until it has asked HAProxy. None where HAProxy serves no
 * HTTPS any more: nothing would say that the certificates are gone.
 */
export const certifiedIn = (
  routes: { keys(): Iterable<string> },
  { https }: Pick<BaseSettings, 'https'>,
): PersistentSet<string> =>
  PersistentSet(https === undefined ? [] : [...routes.keys()].filter(isCertifiedKey).map(certifiedName));

function waitingHosts(service: Pick<Service, 'name' | 'policy'> | undefined): readonly string[] {
  if (service === undefined || !waitsForCertificate(service.policy.https)) return [];
  const { routes, redirect } = service.policy;
  const hosts = routes.flatMap((route) => hostsOf(route, service.name));
  return redirect?.host === undefined ? hosts : [...hosts, redirect.host];
}

function count(
  hosts: PersistentMap<string, number>,
  patterns: PersistentMap<string, number>,
  host: string,
  by: number,
): void {
  for (const [map, keys] of [
    [hosts, [host]],
    [patterns, patternsOver(host)],
  ] as const) {
    for (const key of keys) {
      const now = (map.get(key) ?? 0) + by;
      if (now === 0) map.delete(key);
      else map.set(key, now);
    }
  }
}

/** The names that may be for a host of this pattern. */
const namesFor = (host: string, names: PersistentSet<string>): Iterable<string> =>
  isExact(host) ? patternsOver(host).filter((pattern) => names.has(pattern)) : names;
