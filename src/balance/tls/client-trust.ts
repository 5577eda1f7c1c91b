import { bySince, type Service } from '../../catalog/service.ts';
import { type CertificateAuth, trustOf } from '../../model/policy/auth-certificate.ts';
import { hostsOf } from '../../model/route.ts';

/** A host that asks clients for certificates, with the certificates of its own that it may be served with. */
export type AskingHost = { readonly host: string; readonly files: readonly string[]; readonly auth: CertificateAuth };

type Served = ReadonlyMap<string, { readonly names: readonly string[] }>;

const own = ({ name, policy }: Service): readonly string[] => policy.routes.flatMap((route) => hostsOf(route, name));

/**
 * The hosts of services with `auth.certificate`, by the names of the certificates that are served, and why a service has none.
 * TLS knows the host and not the path, so a host has the authorities of one service: the one that got its policy first.
 */
export function hostsThatAskClients(services: Iterable<Service>, served: Served) {
  const all = [...services];
  const asking = all
    .flatMap((service) =>
      service.policy.auth?.certificate ? [{ service, auth: service.policy.auth.certificate }] : [],
    )
    .sort((a, b) => bySince(a.service.since, b.service.since) || (a.service.name < b.service.name ? -1 : 1));
  const hosts = new Map<string, AskingHost & { readonly by: string }>();
  const problems = new Map<string, string>();
  if (asking.length === 0) return { hosts, problems };
  const plain = new Set(all.filter(({ policy }) => policy.auth?.certificate === undefined).flatMap(own));
  for (const { service, auth } of asking) {
    const found = new Map<string, string[]>();
    for (const [file, { names }] of served) {
      for (const pattern of own(service)) {
        for (const host of names.flatMap((name) => hostOf(pattern, name.toLowerCase()) ?? [])) {
          if (host !== pattern && plain.has(host)) continue;
          const files = found.get(host);
          if (files === undefined) found.set(host, [file]);
          else if (!files.includes(file)) files.push(file);
        }
      }
    }
    if (found.size === 0) problems.set(service.name, 'no certificate that HAProxy serves is for a host of the service');
    for (const [host, files] of found) {
      const other = hosts.get(host);
      if (other === undefined) hosts.set(host, { host, files, auth, by: service.name });
      else if (trustOf(other.auth) !== trustOf(auth)) {
        problems.set(service.name, `${host} asks for certificates of ${other.auth.ca}, as ${other.by} wants it`);
      }
    }
  }
  return { hosts, problems };
}

/** The name in TLS that a route with this pattern and a certificate with this name have in common. */
function hostOf(pattern: string, name: string): string | undefined {
  if (!/^(\*\.)?[a-z0-9._-]+$/.test(name)) return undefined;
  if (pattern === name) return name;
  const [, domain] = /^[^.]*\.(.+)$/.exec(name) ?? [];
  if (domain === undefined || pattern === '*') return undefined;
  if (pattern.startsWith('*.')) return pattern.slice(2) === domain && !name.startsWith('*') ? name : undefined;
  if (pattern.endsWith('.*')) {
    const label = pattern.slice(0, -2);
    return name === `${label}.${domain}` || name.startsWith('*.') ? `${label}.${domain}` : undefined;
  }
  return name.startsWith('*.') && pattern.slice(pattern.indexOf('.') + 1) === domain && pattern.includes('.')
    ? pattern
    : undefined;
}
