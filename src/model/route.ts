import { parseHost } from './address.ts';
import type { ServiceName } from './name.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';
import type { Match } from './policy/match.ts';

/** Which hosts a service answers to: `shop.example.com`, `*.example.com`, `shop.*` or `*`. Lower case. */
export type HostPattern = Brand<string, 'HostPattern'>;

/** The beginning of the paths that a service answers to, matched at segment borders: `/`, `/api`. */
export type PathPrefix = Brand<string, 'PathPrefix'>;

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

// RFC 3986 path characters without the sub-delimiters and escapes that mean something to a configuration or a map file.
const path = /^\/[A-Za-z0-9._~/@:+-]{0,254}$/;

/** Reads a host pattern. Capitals are refused: HAProxy compares with the request's host in lower case. */
export function parseHostPattern(text: string): Parsed<HostPattern> {
  return isHostPattern(text)
    ? accepted(text as HostPattern)
    : rejected(`${quote(text)} is not a host: lower case "shop.example.com", "*.example.com", "shop.*" or "*"`);
}

function isHostPattern(text: string): boolean {
  if (text.length > 253) return false;
  if (text === '*') return true;
  if (text.endsWith('.*')) return label.test(text.slice(0, -2));
  const name = text.startsWith('*.') ? text.slice(2) : text;
  const host = parseHost(name);
  // A host that parseHost rewrites (capitals, brackets) would never equal the host of a request.
  return host.ok && host.value.host === name && (name === text || host.value.family === 'name');
}

/** Whether this is a host pattern that the name of a server in TLS can fit: no IP address, and no `shop.*`. */
export function isDnsPattern(text: string): boolean {
  if (text === '*') return true;
  const host = parseHost(text.startsWith('*.') ? text.slice(2) : text);
  return isHostPattern(text) && host.ok && host.value.family === 'name';
}

/** Reads a path prefix. */
export function parsePathPrefix(text: string): Parsed<PathPrefix> {
  if (!path.test(text)) {
    return rejected(`${quote(text)} is not a path: "/" and then at most 254 of A-Z a-z 0-9 . _ ~ / @ : + -`);
  }
  return text.split('/').some((segment) => segment === '.' || segment === '..')
    ? rejected(`${quote(text)} is not a path: clients resolve "." and ".." before they send a request`)
    : accepted(text as PathPrefix);
}

/** Makes repeated slashes one, as in the requests that HAProxy compares with the prefix. */
export function mergeSlashes(path: PathPrefix): PathPrefix {
  return path.replace(/\/+/g, '/') as PathPrefix;
}

/** Requests that go to a service: those for one of the hosts whose path begins with one of the paths. */
export type Route = {
  /** Exact (`shop.example.com`), `*.example.com`, `shop.*` or `*` (any host). Empty: `<service>` and `<service>.*`. */
  readonly hosts: readonly HostPattern[];
  /** Path prefixes, matched at segment borders. */
  readonly paths: readonly PathPrefix[];
  /** The server is asked for what follows the prefix. */
  readonly strip: boolean;
  /** Of all routes that match a request the one with the highest wins; among equals the most exact one. */
  readonly priority: number;
  /** What else a request has to be; undefined: nothing. */
  readonly match: Match | undefined;
};

export const isExact = (host: string): boolean => rankOf(host) === 0;

/** The host pattern of the connections of a shared port that ask for a name by TLS. No request has a host with a port there. */
export const nameOnPort = (name: string, port: number): string => `${name}:${port}`;

// An IPv6 address has two colons or more.
const onPort = /^([^:[/]+)(:\d+)$/;

/** Whether a host pattern is for connections of a shared port. */
export const isNameOnPort = (host: string): boolean => host.includes(':') && onPort.test(host);

/** How exact a host pattern is: the base configuration asks for those of rank 0 first. */
export function rankOf(host: string): number {
  if (host === '*' || host.startsWith('*:')) return 3;
  return host.endsWith('.*') ? 2 : host.startsWith('*.') ? 1 : 0;
}

/** The patterns `*.<domain>` and `<first label>.*` that match this host. */
export function aroundHost(host: string): [domain: string | undefined, label: string] {
  const dot = host.indexOf('.');
  return dot === -1 ? [undefined, `${host}.*`] : [`*${host.slice(dot)}`, `${host.slice(0, dot)}.*`];
}

/** The host patterns that match whatever this one matches, the most exact first, as the base configuration asks for them. */
export function patternsOver(host: string): readonly string[] {
  const [, name, port] = host.includes(':') ? (onPort.exec(host) ?? []) : [];
  if (name !== undefined && port !== undefined) {
    return patternsOver(name).flatMap((pattern) => (pattern.endsWith('.*') ? [] : [`${pattern}${port}`]));
  }
  if (host === '*') return [host];
  const around = isExact(host) ? aroundHost(host).filter((pattern) => pattern !== undefined) : [];
  return [host, ...around, '*'];
}

/** The host patterns of a route: its own, or those that its service has by its name. */
export const hostsOf = ({ hosts }: Pick<Route, 'hosts'>, service: ServiceName): readonly string[] =>
  hosts.length > 0 ? hosts : ownHosts(service);

/** The host patterns that a service has by its name. */
export function ownHosts(service: ServiceName): readonly string[] {
  const name = service.toLowerCase();
  return [name, `${name}.*`];
}
