import { hostname } from 'node:os';
import type { OwnListener } from '../../addresses/address-rules.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { listenersIn } from '../../haproxy/listeners.ts';
import { parseServerLine } from '../../haproxy/server-line.ts';
import { parseHost } from '../../model/address.ts';
import type { Rendered } from '../../render/rendered.ts';

/** The addresses on which a haproxy.cfg has HAProxy listen for TCP connections, in all sections. */
export function ownListeners(config: string): readonly OwnListener[] {
  return listenersIn(config, hostname()).flatMap(({ protocol, host, ports }) => {
    const parsed = parseHost(host);
    if (protocol !== 'tcp' || ports === undefined || !parsed.ok) return [];
    return [{ ...parsed.value, port: ports.first, lastPort: ports.last }];
  });
}

/** The addresses that host names have in a rendered configuration. */
export function addressesGiven({ services }: Catalog, { backends }: Rendered): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const { name, instances } of services.values()) {
    const servers = backends.get(name)?.servers;
    if (servers === undefined) continue;
    for (const { id, address } of instances.values()) {
      const line = address.family === 'name' ? servers.get(id) : undefined;
      const host = line === undefined ? undefined : parseServerLine(line)?.host;
      const parsed = host === undefined ? undefined : parseHost(host);
      if (parsed?.ok === true && parsed.value.family !== 'name') known.set(address.host, parsed.value.host);
    }
  }
  return known;
}
