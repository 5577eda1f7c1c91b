import { Map as PersistentMap } from 'immutable';
import type { Service } from '../catalog/catalog.ts';
import type { ServiceName } from '../model/name.ts';
import { type Route, segmentsOf } from '../model/policy/routes.ts';
import { type RouteTarget, routeTarget } from '../model/route-target.ts';
import { formatState, type ServiceState, stateKey } from '../model/service-state.ts';
import { type Claim, settleClaims } from './route-claims.ts';

/**
 * Keys of the route map: a host pattern, a path prefix and a closing slash, as in `shop.example.com/api/`. The frame asks
 * for the longest key that begins `<host><path>/`, with the exact host, then `*.<domain>`, then `<first label>.*`, then
 * `*`. The closing slash keeps `/api` from matching `/apiary`. Beside the routes stand the states of services, by a key of
 * their own.
 */
export type Routes = PersistentMap<string, RouteTarget>;

/** Two services that declare the same route at one priority. The first by name has it. */
export type RouteConflict = {
  readonly kind: 'route';
  readonly route: string;
  readonly winner: ServiceName;
  readonly loser: ServiceName;
};

/** The routes of all services. A declared host goes before another service's default one. */
export function buildRoutes(services: Iterable<Service>): { routes: Routes; conflicts: readonly RouteConflict[] } {
  const all = [...services];
  const claims = all
    .filter((service) => service.policy.mode === 'http')
    .flatMap((service) => service.policy.routes.flatMap((route) => [...claimsOf(service.name, route)]))
    .sort(byRight);
  const first = new Map<string, Claim>();
  const conflicts: RouteConflict[] = [];
  for (const claim of claims) {
    const key = claim.host + claim.path;
    const winner = first.get(key);
    if (winner === undefined) first.set(key, claim);
    else if (winner.service !== claim.service && winner.priority === claim.priority)
      conflicts.push({ kind: 'route', route: key, winner: winner.service, loser: claim.service });
  }
  const settled = settleClaims([...first.values()]);
  for (const service of all) {
    const state = stateOf(service);
    if (state !== undefined) settled.set(stateKey(service.name), formatState(state));
  }
  return { routes: PersistentMap(settled), conflicts };
}

function stateOf({ policy, held }: Service): ServiceState | undefined {
  return policy.maintenance ? { kind: 'maintenance' } : held;
}

/** Those who have more right to one route first. */
function byRight(a: Claim, b: Claim): number {
  return (
    b.priority - a.priority ||
    Number(b.declared) - Number(a.declared) ||
    (a.service < b.service ? -1 : +(a.service !== b.service))
  );
}

function* claimsOf(service: ServiceName, { hosts, paths, strip, priority }: Route): Generator<Claim> {
  const name = service.toLowerCase();
  const declared = hosts.length > 0;
  for (const host of declared ? hosts : [name, `${name}.*`]) {
    for (const path of paths) {
      const target = routeTarget(service, strip ? segmentsOf(path) : 0);
      yield { service, declared, host, path: path.endsWith('/') ? path : `${path}/`, priority, target };
    }
  }
}

/** The map file: one `key value` a line, sorted, so that equal routes are equal bytes. */
export function formatRoutes(routes: Routes): string {
  const lines = [];
  for (const [key, target] of routes) lines.push(`${key} ${target}\n`);
  return lines.sort().join('');
}
