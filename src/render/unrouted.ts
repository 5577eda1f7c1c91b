import type { ServiceName } from '../model/name.ts';
import { type Conflict, describeConflict } from './conflict.ts';
import { type RouteTable, routeKey } from './routes.ts';

/**
 * The services that lost all that they ask for to conflicts, so that no request reaches them, each with the first conflict. A service
 * that only a higher priority keeps from requests is not among them: its own policy says so.
 */
export function unroutedServices(
  conflicts: readonly Conflict[],
  { services, claims }: Pick<RouteTable, 'services' | 'claims'>,
): ReadonlyMap<ServiceName, string> {
  const unrouted = new Map<ServiceName, string>();
  const routed = new Set<ServiceName>();
  // On the port of HTTPS, a name can be lost to an HTTP service, which has another key in the map.
  const lost = new Set(
    conflicts.map((conflict) => (conflict.kind === 'route' ? `${conflict.loser} ${conflict.route}` : '')),
  );
  for (const conflict of conflicts) {
    const { kind, loser } = conflict;
    if ((kind !== 'route' && kind !== 'host' && kind !== 'port') || unrouted.has(loser) || routed.has(loser)) continue;
    const own = kind === 'port' ? [] : (services.get(loser)?.claims ?? []);
    const has = (key: string) => claims.get(key)?.[0]?.service === loser && !lost.has(`${loser} ${key}`);
    if (own.some((claim) => has(routeKey(claim)))) routed.add(loser);
    else unrouted.set(loser, describeConflict(conflict));
  }
  return unrouted;
}
