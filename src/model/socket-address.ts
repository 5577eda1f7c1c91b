import { isIP, isIPv6 } from 'node:net';

/** One address and port, or some ports, that HAProxy listens on. */
export type SocketAddress = {
  readonly protocol: 'tcp' | 'udp';
  /** `0.0.0.0` and `::` are all addresses of their kind. */
  readonly host: string;
  /** Undefined where only HAProxy knows, as with a variable of the environment. */
  readonly ports: { readonly first: number; readonly last: number } | undefined;
  /** The network interface and the namespace that it is bound to; empty for all, and for the own. */
  readonly place: string;
};

const kinds: Readonly<Record<string, 'tcp' | 'udp'>> = {
  ...{ ipv4: 'tcp', ipv6: 'tcp', tcp: 'tcp', tcp4: 'tcp', tcp6: 'tcp', 'stream+ipv4': 'tcp', 'stream+ipv6': 'tcp' },
  ...{ mptcp: 'tcp', mptcp4: 'tcp', mptcp6: 'tcp' },
  ...{ quic4: 'udp', quic6: 'udp', udp: 'udp', udp4: 'udp', udp6: 'udp', 'dgram+ipv4': 'udp', 'dgram+ipv6': 'udp' },
};

/** Reads an address as `bind` has it. Undefined for a socket of another kind: HAProxy's own ones, and inherited ones. */
export function parseSocketAddress(
  text: string,
  place: string,
  plain: 'tcp' | 'udp' = 'tcp',
): SocketAddress | undefined {
  const [, kind, rest = ''] = /^(?:([a-z0-9+]+)@)?(.*)$/.exec(text.replaceAll(/["']/g, '')) ?? [];
  const protocol = kind === undefined ? plain : kinds[kind];
  if (protocol === undefined || rest.startsWith('/')) return undefined;
  const [, written = rest, first, last = first] = /^(.*):(\d{1,5})(?:-(\d{1,5}))?$/.exec(rest) ?? [];
  const host = written.replaceAll(/[[\]]/g, '').toLowerCase();
  const all = kind?.endsWith('6') === true ? '::' : '0.0.0.0';
  return {
    protocol,
    host: host === '' || host === '*' ? all : isIPv6(host) ? canonical(host) : host,
    ports: first === undefined ? undefined : { first: Number(first), last: Number(last) },
    place,
  };
}

/** Whether a socket of the one is a socket of the other, which HAProxy then takes over from its former worker. */
export const isSameSocket = (one: SocketAddress, other: SocketAddress): boolean =>
  one.protocol === other.protocol &&
  one.host === other.host &&
  one.place === other.place &&
  one.ports?.first === other.ports?.first &&
  one.ports?.last === other.ports?.last;

/** Whether a connection may be for both. True as well where only HAProxy knows. */
export function mayOverlap(one: SocketAddress, other: SocketAddress): boolean {
  if (one.protocol !== other.protocol) return false;
  if (one.place !== other.place && one.place !== '' && other.place !== '') return false;
  if (one.ports === undefined || other.ports === undefined) return true;
  if (one.ports.first > other.ports.last || other.ports.first > one.ports.last) return false;
  return mayBeSameHost(one.host, other.host);
}

/** Whether a connection to the one host may be one to the other. */
export function mayBeSameHost(one: string, other: string): boolean {
  const [family, otherFamily] = [isIP(one), isIP(other)];
  // A name, or a variable, may be any address.
  if (one === other || family === 0 || otherFamily === 0) return true;
  if (one === '::' || other === '::') return true;
  return family === otherFamily && (one === '0.0.0.0' || other === '0.0.0.0');
}

/** Whether it is all addresses of a kind. */
export const isWildcard = (host: string): boolean => host === '0.0.0.0' || host === '::';

const canonical = (ipv6: string): string => new URL(`http://[${ipv6}]`).hostname.slice(1, -1);
