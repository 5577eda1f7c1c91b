import { isIP } from 'node:net';
import type { Catalog } from '../catalog/catalog.ts';
import type { Service } from '../catalog/service.ts';
import { allowsHost } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { waitsForCertificate } from '../model/policy/https.ts';
import { type HostPattern, hostsOf, isExact, isNameOnPort, patternsOver, rankOf } from '../model/route.ts';
import type { RouteClaim } from './route-claim.ts';
import type { RouteTable } from './routes.ts';

/** Which hosts certificates are ordered for. */
export type CertificateRules = {
  /** `declared`: the hosts of services whose policy has `"certificate": "auto"`. `all`: each exact host of an HTTP service, too. */
  readonly hosts: 'declared' | 'all';
  /** The hosts that may be asked for. Empty: all. */
  readonly allow: readonly HostPattern[];
  readonly challenge: 'http-01' | 'dns-01';
};

/** A host that asks for a certificate. */
export type CertificateHost = {
  readonly host: string;
  /** The service that has the shortest path of this host. */
  readonly service: ServiceName;
  /** Why no certificate is ordered; undefined: one is. */
  readonly obstacle: CertificateObstacle | undefined;
};

export type CertificateObstacle =
  /** This balancer has no `--acme`. */
  | 'no-acme'
  /** Another service has the shortest path of this host, and does not ask. */
  | 'not-decided'
  /** A certificate of the folder has this name. */
  | 'in-folder'
  /** `--acme-allow` does not name it. */
  | 'not-allowed'
  /** An authority gives certificates of a wildcard only for the challenge DNS-01. */
  | 'needs-dns-01'
  /** `shop.*` and `*` are no names that a certificate can have. */
  | 'no-name'
  /** Clients send no name for an IP address (SNI, RFC 6066), so HAProxy would choose no certificate. */
  | 'is-address';

/**
 * The hosts that ask for certificates, by name. A service counts for a host only if it has the route there: one that another service has, or
 * that its claim does not allow, asks for nothing. The service with the shortest path decides for the host: a path below it is no right to a
 * certificate that serves the whole host. Without rules, nothing is ordered.
 */
export function certificateHosts(
  table: Pick<RouteTable, 'claims' | 'services'>,
  rules: CertificateRules | undefined,
  folderServes: (host: string) => boolean,
): readonly CertificateHost[] {
  const deciding = new Map<string, RouteClaim>();
  const asking = new Map<string, RouteClaim>();
  for (const [owner] of table.claims.values()) {
    if (owner === undefined || isNameOnPort(owner.host)) continue;
    keepFirst(deciding, owner);
    const declared = table.services.get(owner.service)?.policy.https.certificate === 'auto';
    if (declared || (rules?.hosts === 'all' && isExact(owner.host))) keepFirst(asking, owner);
  }
  return [...asking.values()]
    .map(({ host, service }) => {
      const isDecided = deciding.get(host)?.service === service;
      return { host, service, obstacle: isDecided ? obstacleOf(host, rules, folderServes) : ('not-decided' as const) };
    })
    .sort((a, b) => (a.host < b.host ? -1 : 1));
}

/** Those that certificates are ordered for, each with its service. */
export const hostsForCertificates = (hosts: readonly CertificateHost[]): ReadonlyMap<string, ServiceName> =>
  new Map(hosts.flatMap(({ host, service, obstacle }) => (obstacle === undefined ? [[host, service]] : [])));

/** The hosts of a service whose redirect to HTTPS waits, because no certificate that HAProxy serves has their name. */
export function hostsWithoutCertificate(
  { name, policy: { https, routes }, claim }: Pick<Service, 'name' | 'policy' | 'claim'>,
  { certified }: Pick<Catalog, 'certified'>,
): readonly string[] {
  if (!waitsForCertificate(https)) return [];
  const hosts = routes
    .flatMap((route) => hostsOf(route, name))
    .filter((host) => rankOf(host) < 2 && allowsHost(claim, name, host));
  return [...new Set(hosts)].filter((host) => !patternsOver(host).some((pattern) => certified.has(pattern)));
}

function keepFirst(first: Map<string, RouteClaim>, claim: RouteClaim): void {
  const other = first.get(claim.host);
  if (other === undefined || isBefore(claim, other)) first.set(claim.host, claim);
}

const isBefore = (one: RouteClaim, other: RouteClaim): boolean =>
  one.path.length - other.path.length < 0 ||
  (one.path.length === other.path.length && one.path + one.service < other.path + other.service);

function obstacleOf(
  host: string,
  rules: CertificateRules | undefined,
  folderServes: (host: string) => boolean,
): CertificateObstacle | undefined {
  if (rankOf(host) > 1) return 'no-name';
  if (isIP(host) !== 0) return 'is-address';
  if (folderServes(host)) return 'in-folder';
  if (rules === undefined) return 'no-acme';
  const { allow, challenge } = rules;
  if (allow.length > 0 && !patternsOver(host).some((pattern) => allow.includes(pattern as HostPattern)))
    return 'not-allowed';
  return isExact(host) || challenge === 'dns-01' ? undefined : 'needs-dns-01';
}
