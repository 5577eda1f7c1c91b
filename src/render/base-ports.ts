import { mayBeSameHost, parseSocketAddress } from '../model/socket-address.ts';

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
