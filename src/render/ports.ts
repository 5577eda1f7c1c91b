import type { Service } from '../catalog/catalog.ts';
import type { ServiceName } from '../model/name.ts';

/** Which `tcp` service has which of the balancer's ports. */
export type Ports = ReadonlyMap<number, Service>;

/** A `tcp` service that asks for a port which is taken: by a service before it in the alphabet, or by pointsman itself. */
export type PortConflict = {
  readonly kind: 'port';
  readonly port: number;
  /** Undefined when the port is not for services. */
  readonly winner: ServiceName | undefined;
  readonly loser: ServiceName;
};

/**
 * Gives each port to one service. HAProxy would not object to two: the kernel then spreads connections over both, so that
 * every other one of a database's clients talks to a mail server.
 */
export function claimPorts(
  services: Iterable<Service>,
  reserved: ReadonlySet<number>,
): { readonly ports: Ports; readonly conflicts: readonly PortConflict[] } {
  const ports = new Map<number, Service>();
  const conflicts: PortConflict[] = [];
  const claims = [...services].filter(({ policy }) => policy.mode === 'tcp').sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const service of claims) {
    const { port } = service.policy;
    if (port === undefined) continue;
    const winner = ports.get(port)?.name;
    if (winner !== undefined || reserved.has(port)) conflicts.push({ kind: 'port', port, winner, loser: service.name });
    else ports.set(port, service);
  }
  return { ports, conflicts };
}
