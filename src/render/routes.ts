import { Map as PersistentMap } from 'immutable';
import type { Service } from '../catalog/catalog.ts';
import type { ServiceName } from '../model/name.ts';

/**
 * Keys of the route map: a host pattern, a path prefix and a closing slash, as in `shop.example.com/api/`. The frame asks
 * for the longest key that begins `<host><path>/`, with the exact host, then `*.<domain>`, then `<first label>.*`, then
 * `*`. The closing slash keeps `/api` from matching `/apiary`.
 */
export type Routes = PersistentMap<string, ServiceName>;

/** Two services that declare the same route. The first by name has it. */
export type RouteConflict = { readonly route: string; readonly winner: ServiceName; readonly loser: ServiceName };

/** The routes of all services. A declared host goes before another service's default one. */
export function buildRoutes(services: Iterable<Service>): { routes: Routes; conflicts: readonly RouteConflict[] } {
  const claims = [...services]
    .filter((service) => service.policy.mode === 'http')
    .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const routes = new Map<string, ServiceName>();
  const conflicts: RouteConflict[] = [];
  for (const service of claims) {
    for (const route of routesOf(service)) {
      const winner = routes.get(route);
      if (winner === undefined) routes.set(route, service.name);
      else if (winner !== service.name) conflicts.push({ route, winner, loser: service.name });
    }
  }
  return { routes: PersistentMap(routes), conflicts };
}

const rank = (service: Service): number => (service.policy.hosts.length > 0 ? 0 : 1);

function* routesOf({ name, policy }: Service): Generator<string> {
  const host = name.toLowerCase();
  const hosts = policy.hosts.length > 0 ? policy.hosts : [host, `${host}.*`];
  for (const pattern of hosts) {
    for (const path of policy.paths) yield `${pattern}${path.endsWith('/') ? path : `${path}/`}`;
  }
}

/** The map file: one `key value` a line, sorted, so that equal routes are equal bytes. */
export function formatRoutes(routes: Routes): string {
  const lines = [];
  for (const [key, service] of routes) lines.push(`${key} ${service}\n`);
  return lines.sort().join('');
}
