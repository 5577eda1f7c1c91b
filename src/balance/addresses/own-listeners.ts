import { hostname } from 'node:os';
import type { OwnListener } from '../../addresses/address-rules.ts';
import { listenersIn } from '../../haproxy/listeners.ts';
import { parseHost } from '../../model/address.ts';

/** Where a haproxy.cfg has HAProxy listen for TCP connections, whatever section says so. */
export function ownListeners(config: string): readonly OwnListener[] {
  return listenersIn(config, hostname()).flatMap(({ protocol, host, ports }) => {
    const parsed = parseHost(host);
    if (protocol !== 'tcp' || ports === undefined || !parsed.ok) return [];
    return [{ ...parsed.value, port: ports.first, lastPort: ports.last }];
  });
}
