import { bySince, type Service } from '../catalog/service.ts';
import { allowsPort } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { mayBeSameHost, parseSocketAddress } from '../model/socket-address.ts';
import { type Because, becauseOf } from './route-conflicts.ts';

/** Which `tcp` service has which of the balancer's ports. */
export type Ports = ReadonlyMap<number, Service>;

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
  readonly loser: ServiceName;
};

/**
 * Gives each port to one service, the one that got its policy first. HAProxy would not object to two: the kernel then spreads connections over both, so that
 * every other one of a database's clients talks to a mail server.
 */
export function claimPorts(
  services: Iterable<Service>,
  reserved: ReadonlySet<number>,
  ofTemplate: ReadonlySet<number> = new Set(),
): { readonly ports: Ports; readonly conflicts: readonly PortConflict[] } {
  const ports = new Map<number, Service>();
  const conflicts: PortConflict[] = [];
  const claims = [...services]
    .filter(({ policy }) => policy.mode === 'tcp')
    .sort((a, b) => bySince(a.since, b.since) || (a.name < b.name ? -1 : 1));
  for (const service of claims) {
    const { port } = service.policy;
    if (port === undefined) continue;
    if (!allowsPort(service.claim, port)) {
      conflicts.push({ kind: 'port', port, because: undefined, winner: undefined, ofClaim: true, loser: service.name });
      continue;
    }
    const winner = ports.get(port);
    if (winner === undefined && !reserved.has(port) && !ofTemplate.has(port)) ports.set(port, service);
    else {
      const because = winner && becauseOf(winner, service);
      const conflict = { kind: 'port', port, because, winner: winner?.name, loser: service.name } as const;
      conflicts.push(ofTemplate.has(port) && !reserved.has(port) ? { ...conflict, ofTemplate: true } : conflict);
    }
  }
  return { ports, conflicts };
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
