import { bySince, type Service } from '../catalog/service.ts';
import { allowsPort } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { mayBeSameHost, parseSocketAddress } from '../model/socket-address.ts';
import { type Because, becauseOf } from './route-conflicts.ts';

/** Who has which of the balancer's ports: a `tcp` service, or several services that share it by the names in TLS. */
export type Ports = ReadonlyMap<number, Service | 'shared'>;

/** A `tcp` service asks for a port that pointsman itself or another service has, or that no claim lets it have. */
export type PortConflict = {
  readonly kind: 'port';
  readonly port: number;
  /** Undefined, like the winner, when the port is not for services. */
  readonly because: Because | undefined;
  readonly winner: ServiceName | undefined;
  /** The base configuration listens on it. */
  readonly ofTemplate?: true;
  /** No claim allows it. */
  readonly ofClaim?: true;
  /** It asks only for the connections that HTTPS has there: those with a protocol of HTTP. */
  readonly ofHttps?: true;
  readonly loser: ServiceName;
};

/** The ports of this host that no service can have. */
export type TakenPorts = {
  /** HTTP's own, and pointsman's. */
  readonly reserved: ReadonlySet<number>;
  /** The base configuration listens on them. */
  readonly ofTemplate?: ReadonlySet<number>;
  /** The port of HTTPS, which services can share by the names in TLS. */
  readonly https?: number | undefined;
};

/**
 * Gives each port to one service, the one that got its policy first, or to all services with `sni` if the first has `sni`. HAProxy would not object to
 * two: the kernel then spreads connections over both, so that every other one of a database's clients talks to a mail server.
 */
export function claimPorts(
  services: Iterable<Service>,
  { reserved, ofTemplate = new Set(), https }: TakenPorts,
): { readonly ports: Ports; readonly conflicts: readonly PortConflict[] } {
  const owners = new Map<number, Service>();
  const conflicts: PortConflict[] = [];
  const claims = [...services]
    .filter(({ policy }) => policy.mode === 'tcp')
    .sort((a, b) => bySince(a.since, b.since) || (a.name < b.name ? -1 : 1));
  for (const service of claims) {
    const { port, sni } = service.policy;
    if (port === undefined) continue;
    if (!allowsPort(service.claim, port)) {
      conflicts.push({ kind: 'port', port, because: undefined, winner: undefined, ofClaim: true, loser: service.name });
      continue;
    }
    const isFree = (!reserved.has(port) && !ofTemplate.has(port)) || (sni !== undefined && port === https);
    const winner = owners.get(port);
    if (winner === undefined && isFree) owners.set(port, service);
    else if (winner === undefined || winner.policy.sni === undefined || sni === undefined) {
      const because = winner && becauseOf(winner, service);
      const conflict = { kind: 'port', port, because, winner: winner?.name, loser: service.name } as const;
      conflicts.push(ofTemplate.has(port) && !reserved.has(port) ? { ...conflict, ofTemplate: true } : conflict);
    }
  }
  const ports = [...owners].map(([port, owner]) => [port, owner.policy.sni === undefined ? owner : 'shared'] as const);
  return { ports: new Map(ports), conflicts };
}

const listens = /^[ \t]*(?:bind|stats[ \t]+socket)[ \t]+(\S+)/gm;
const highest = 65_535;

/** The TCP ports of this host that a base configuration listens on itself, under any condition. */
export function portsOfBase(base: string, host: string): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const [, list = ''] of base.matchAll(listens)) {
    for (const text of list.split(',')) {
      const address = parseSocketAddress(text, '');
      if (address?.protocol !== 'tcp' || address.ports === undefined || !mayBeSameHost(address.host, host)) continue;
      const last = Math.min(address.ports.last, highest);
      for (let port = address.ports.first; port <= last; port += 1) ports.add(port);
    }
  }
  return ports;
}
