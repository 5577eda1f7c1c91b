import { bySince, type Service } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import { nameOnPort, ownHosts } from '../model/route.ts';
import { serviceOfTarget } from '../model/route-target.ts';
import type { PortConflict } from './ports.ts';
import { becauseOf, type RouteConflict } from './route-conflicts.ts';
import type { Routes, RouteTable } from './routes.ts';

type NamesBesideHttps = {
  /** Without the names that HTTP services have. */
  readonly routes: Routes;
  readonly conflicts: readonly (RouteConflict | PortConflict)[];
};

// HTTPS has them, whatever the name is: a service with `*` and one of them would get the requests of all.
const ofHttp: ReadonlySet<string> = new Set(['h2', 'http/1.1', 'http/1.0']);

/**
 * On the port of HTTPS, a `tcp` service and an HTTP service may ask for one name. As with routes, the service with that name of its own gets it,
 * else the one that got its policy first. No HTTP service asks for a name with another protocol (ALPN).
 */
export function namesBesideHttps(table: RouteTable, tcp: readonly Service[], port: number): NamesBesideHttps {
  const conflicts: (RouteConflict | PortConflict)[] = [];
  const taken: string[] = [];
  for (const service of tcp) {
    const { sni, port: own } = service.policy;
    if (sni === undefined || own !== port) continue;
    if (sni.protocols.length > 0 && sni.protocols.every((protocol) => ofHttp.has(protocol)))
      conflicts.push({ kind: 'port', port, because: undefined, winner: undefined, ofHttps: true, loser: service.name });
    for (const name of sni.protocols.length > 0 ? [] : sni.names) {
      const conflict = conflictOver(table, service, name, port);
      if (conflict === undefined) continue;
      conflicts.push(conflict);
      if (conflict.loser === service.name) taken.push(conflict.route);
    }
  }
  const routes = table.routes.withMutations((draft) => {
    for (const route of taken) draft.delete(route);
  });
  return { routes, conflicts };
}

function conflictOver(table: RouteTable, service: Service, name: string, port: number): RouteConflict | undefined {
  const route = `${nameOnPort(name, port)}/`;
  const target = table.routes.get(route);
  const owner = ownerOf(table, name);
  if (target === undefined || serviceOfTarget(target) !== service.name || owner === undefined) return undefined;
  const own = rightOf(service, name);
  const [winner, loser] = byRight(own, owner) < 0 ? [own, owner] : [owner, own];
  return { kind: 'route', route, more: 0, because: becauseOf(winner, loser), winner: winner.name, loser: loser.name };
}

type Claimant = Pick<Service, 'name' | 'since'>;
type Right = Claimant & { readonly isOwnName: boolean };

const rightOf = ({ name: service, since }: Claimant, name: string): Right => ({
  name: service,
  since,
  isOwnName: ownHosts(service).includes(name),
});

function byRight(a: Right, b: Right): number {
  return Number(b.isOwnName) - Number(a.isOwnName) || bySince(a.since, b.since) || (a.name < b.name ? -1 : 1);
}

/** The HTTP service with the most right to a host, of those that have a path there. */
function ownerOf({ routes, services }: RouteTable, host: string): Right | undefined {
  const names = new Set<ServiceName>([...routes.targetsOn(host)].map(serviceOfTarget));
  const owners = [...names].flatMap((name) => services.get(name) ?? []).map((owner) => rightOf(owner, host));
  return owners.sort(byRight)[0];
}
