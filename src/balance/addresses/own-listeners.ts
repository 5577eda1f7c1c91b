import { hostname } from 'node:os';
import type { OwnListener } from '../../addresses/address-rules.ts';
import { listenersIn } from '../../haproxy/listeners.ts';
import { parseHost } from '../../model/address.ts';

/** The addresses on which a haproxy.cfg has HAProxy listen for TCP connections, in all sections. */
export function ownListeners(config: string): readonly OwnListener[] {
  return listenersIn(config, hostname()).flatMap(({ protocol, host, ports }) => {
    const parsed = parseHost(host);
    if (protocol !== 'tcp' || ports === undefined || !parsed.ok) return [];
    return [{ ...parsed.value, port: ports.first, lastPort: ports.last }];
  });
}
