import { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import { bySince, type Service } from '../catalog/service.ts';
import { allowsHost, allowsPort } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { matchText } from '../model/policy/match.ts';
import { segmentsOf } from '../model/policy/routes.ts';
import { hostsOf, isNameOnPort, nameOnPort, ownHosts, type Route } from '../model/route.ts';
import {
  formatState,
  isRouteKey,
  matchTarget,
  type RouteTarget,
  routeTarget,
  type ServiceState,
  stateKey,
} from '../model/route-target.ts';
import {
  boundedConflicts,
  type CappedPriority,
  type CertificateConflict,
  cappedOver,
  type HostConflict,
  isBounded,
} from './bounded-claims.ts';
import { type CertificateKeys, changeCertificateKeys, noCertificateKeys } from './certificate-keys.ts';
import { type Contribution, claimsByHost, decideRoutes } from './deciding-routes.ts';
import {
  changeMatched,
  choose,
  chooseAll,
  hasMatch,
  type MatchedKeys,
  matchId,
  withoutMatch,
} from './matched-routes.ts';
import { type Overruled, overruledBy } from './priority-shares.ts';
import { isCapped, type RouteClaim } from './route-claim.ts';
import { crowdedConflicts, ownNameConflicts, type RouteConflict, routeConflicts } from './route-conflicts.ts';
import { RouteMap } from './route-map.ts';
import { sameKeys, versionKeys } from './version-keys.ts';

/**
 * Keys of the route map: a host pattern, a path prefix and a closing slash, as in `shop.example.com/api/`. HAProxy asks
 * for the longest key that begins `<host><path>/`, with the exact host, then `*.<domain>`, then `<first label>.*`, then
 * `*`. The closing slash keeps `/api` from matching `/apiary`. The map also has the states of services, by a key of
 * their own.
 */
export type Routes = RouteMap;

/** A priority that does not count over another service's more exact hosts, because of what it would add to the map. */
type PriorityConflict = {
  readonly kind: 'priority';
  readonly winner: ServiceName;
  readonly loser: ServiceName;
};

export type RoutesConflict = RouteConflict | HostConflict | CertificateConflict | CappedPriority | PriorityConflict;

/** Which services ask for which routes. A value, kept so that a service that changes costs its own routes only. */
export type RouteTable = {
  /** The parts of each service that its routes depend on, and its claims. */
  readonly services: PersistentMap<ServiceName, Contribution>;
  /** By key of the route map, who has the most right first. */
  readonly claims: PersistentMap<string, readonly RouteClaim[]>;
  readonly matched: MatchedKeys;
  /** The keys with more than one claim. */
  readonly contested: PersistentSet<string>;
  /** How many claims there are of each priority. */
  readonly priorities: PersistentMap<number, number>;
  /** Those that ask for more than they may have. */
  readonly bounded: PersistentSet<ServiceName>;
  /** Where a priority does not count. */
  readonly overruled: Overruled;
  readonly routes: Routes;
  /** By service, the keys of the route map about its versions. */
  readonly versions: PersistentMap<ServiceName, ReadonlyMap<string, RouteTarget>>;
  readonly certificates: CertificateKeys;
  /** Services that ask for no route but may ask for a port. */
  readonly tcp: PersistentSet<ServiceName>;
};

export const noRoutes: RouteTable = {
  services: PersistentMap(),
  claims: PersistentMap(),
  matched: PersistentMap(),
  contested: PersistentSet(),
  priorities: PersistentMap(),
  bounded: PersistentSet(),
  overruled: new Map(),
  routes: RouteMap.empty,
  versions: PersistentMap(),
  certificates: noCertificateKeys,
  tcp: PersistentSet(),
};

/**
 * The table with these services as they are now; one that is not among `services` has gone.
 */
export function changeRoutes(
  table: RouteTable,
  names: Iterable<ServiceName>,
  services: Services,
  certified: PersistentSet<string> = noCertificateKeys.names,
): RouteTable {
  const all = [...new Set(names)];
  return changeVersions(
    changeClaims(changeCertificates(table, all, services, certified), all, services),
    all,
    services,
  );
}

type Services = { get(name: ServiceName): Service | undefined };

/** Before the claims, which replace the former policies. */
function changeCertificates(
  table: RouteTable,
  dirty: readonly ServiceName[],
  services: Services,
  certified: PersistentSet<string>,
): RouteTable {
  let { certificates } = table;
  const routes = table.routes.withMutations((draft) => {
    const policies = { past: table.services, present: services };
    certificates = changeCertificateKeys(certificates, dirty, policies, certified, draft);
  });
  return certificates === table.certificates ? table : { ...table, routes, certificates };
}

/** These keys change with the instances of a service, and not only with its policy. */
function changeVersions(table: RouteTable, names: readonly ServiceName[], services: Services): RouteTable {
  const versions = table.versions.asMutable();
  const routes = table.routes.withMutations((map) => {
    for (const name of names) {
      const [service, past] = [services.get(name), versions.get(name)];
      const present = service && versionKeys(service);
      if (sameKeys(past, present)) continue;
      for (const key of past?.keys() ?? []) if (present?.has(key) !== true) map.delete(key);
      for (const [key, target] of present ?? []) map.set(key, target);
      if (present === undefined) versions.delete(name);
      else versions.set(name, present);
    }
  });
  return routes === table.routes ? table : { ...table, routes, versions: versions.asImmutable() };
}

function changeClaims(table: RouteTable, names: readonly ServiceName[], services: Services): RouteTable {
  const known = table.services.asMutable();
  const claims = table.claims.asMutable();
  const priorities = table.priorities.asMutable();
  const changed = new Set<string>();
  const states = new Map<string, ServiceState | undefined>();
  const dirty = names.filter((name) => !isSame(table.services.get(name), services.get(name)));
  if (dirty.length === 0) return table;
  for (const name of dirty) {
    const [past, service] = [known.get(name), services.get(name)];
    const present = service === undefined ? [] : claimsOf(service);
    countAll(priorities, past?.claims ?? [], -1);
    countAll(priorities, present, 1);
    replaceClaims(claims, name, past?.claims ?? [], present, changed);
    states.set(stateKey(name), service && stateOf(service));
    if (service === undefined) known.delete(name);
    else {
      const { policy, since, claim, suspended } = service;
      known.set(name, { name, policy, since, claim, suspended, claims: present });
    }
  }
  const next = {
    versions: table.versions,
    certificates: table.certificates,
    services: known.asImmutable(),
    claims: claims.asImmutable(),
    matched: changeMatched(table.matched, changed, claims),
    contested: table.contested.withMutations((keys) => {
      for (const key of changed) {
        if ((claims.get(key)?.length ?? 0) > 1) keys.add(key);
        else keys.delete(key);
      }
    }),
    priorities: priorities.asImmutable(),
    bounded: table.bounded.withMutations((bounded) => {
      for (const name of dirty) {
        const contribution = known.get(name);
        if (contribution !== undefined && isBounded(contribution)) bounded.add(name);
        else bounded.delete(name);
      }
    }),
    tcp: table.tcp.withMutations((tcp) => {
      for (const name of dirty) {
        if (services.get(name)?.policy.mode === 'tcp') tcp.add(name);
        else tcp.delete(name);
      }
    }),
  };
  // Where all have one priority, a key is led to whoever has the most right to it, whatever the other keys are.
  const simple = table.priorities.size <= 1 && next.priorities.size <= 1;
  const { routes, overruled } = simple
    ? { routes: ledTo(table.routes, next, changed), overruled: noRoutes.overruled }
    : settledAnew(table.routes, next.claims);
  return { ...next, overruled, routes: withStates(routes, states) };
}

const isSame = (past: Contribution | undefined, service: Service | undefined): boolean =>
  past?.policy === service?.policy &&
  past?.since === service?.since &&
  past?.claim === service?.claim &&
  past?.suspended === service?.suspended;

/** Counts the priorities of a service's claims; and one more where its own routes have another order. */
function countAll(priorities: PersistentMap<number, number>, all: readonly RouteClaim[], by: number): void {
  const claims = all.filter((claim) => !isNameOnPort(claim.host));
  for (const { priority } of claims) count(priorities, priority, by);
  if (!claims.some(isCapped)) return;
  const [own, counting] = [new Set(claims.map((claim) => claim.own)), new Set(claims.map(({ priority }) => priority))];
  if (own.size !== counting.size) count(priorities, Number.POSITIVE_INFINITY, by);
}

function count(priorities: PersistentMap<number, number>, priority: number, by: number): void {
  const now = (priorities.get(priority) ?? 0) + by;
  if (now === 0) priorities.delete(priority);
  else priorities.set(priority, now);
}

/** Writes the claims of one service over those that it had, and adds their keys to `changed`. */
function replaceClaims(
  claims: PersistentMap<string, readonly RouteClaim[]>,
  name: ServiceName,
  past: readonly RouteClaim[],
  present: readonly RouteClaim[],
  changed: Set<string>,
): void {
  for (const key of new Set(past.map(routeKey))) {
    changed.add(key);
    const others = (claims.get(key) ?? []).filter(({ service }) => service !== name);
    if (others.length === 0) claims.delete(key);
    else claims.set(key, others);
  }
  for (const claim of present) {
    const key = routeKey(claim);
    changed.add(key);
    const others = claims.get(key);
    claims.set(key, others === undefined ? [claim] : [...others, claim].sort(byRight));
  }
}

function ledTo(
  routes: Routes,
  { claims, matched }: Pick<RouteTable, 'claims' | 'matched'>,
  changed: ReadonlySet<string>,
): Routes {
  return routes.withMutations((map) => {
    const lead = (key: string, target: RouteTarget | undefined) => {
      if (target === undefined) map.delete(key);
      else map.set(key, target);
    };
    const mains = new Set<string>();
    for (const key of changed) {
      mains.add(withoutMatch(key));
      if (hasMatch(key)) lead(key, claims.get(key)?.[0]?.target);
    }
    for (const main of mains) {
      const matches = [...(matched.get(main) ?? [])].flatMap((key) => claims.get(key)?.[0] ?? []);
      const owner = claims.get(main)?.[0];
      lead(main, choose(owner?.target, owner, matches));
    }
  });
}

function settledAnew(before: Routes, claims: RouteTable['claims']): Pick<RouteTable, 'routes' | 'overruled'> {
  const first = [...claims.values()].flatMap(([winner]) => (winner === undefined ? [] : [winner]));
  // Priorities are for requests, not for the connections of a shared port.
  const names = first.filter((claim) => isNameOnPort(claim.host));
  const requests = names.length === 0 ? first : first.filter((claim) => !isNameOnPort(claim.host));
  // An order of its own, for the map's would depend on how it came to be.
  const byHost = claimsByHost(requests.sort(byRight));
  const overruled = overruledBy(byHost);
  const decided = decideRoutes(byHost, overruled);
  for (const claim of names) decided.set(routeKey(claim), claim.target);
  chooseAll(decided, requests);
  for (const [key, target] of before) if (!isRouteKey(key)) decided.set(key, target);
  const routes = RouteMap.of(decided);
  return { routes: routes.equals(before) ? before : routes, overruled };
}

function withStates(routes: Routes, states: ReadonlyMap<string, ServiceState | undefined>): Routes {
  return routes.withMutations((map) => {
    for (const [key, state] of states) {
      if (state === undefined) map.delete(key);
      else map.set(key, formatState(state));
    }
  });
}

/** The services that do not get what their policies ask for. */
export function conflictsOf(table: RouteTable): readonly RoutesConflict[] {
  const { contested, claims, bounded, services, matched } = table;
  return [
    ...routeConflicts(contested, claims),
    ...ownNameConflicts(matched, claims),
    ...crowdedConflicts(matched, claims),
    ...boundedConflicts(bounded, services),
    ...priorityConflicts(table),
  ];
}

/** Those of other services with this one that a list of all may leave out. */
export const cappedPrioritiesOver = (
  { bounded, services }: RouteTable,
  service: ServiceName,
): readonly CappedPriority[] => cappedOver(service, bounded, services);

function priorityConflicts({ overruled }: RouteTable): readonly PriorityConflict[] {
  const pairs = [...overruled].flatMap(([winner, losers]) => [...losers].map((loser) => ({ winner, loser })));
  return pairs
    .sort((a, b) => (`${a.loser} ${a.winner}` < `${b.loser} ${b.winner}` ? -1 : 1))
    .map((pair) => ({ kind: 'priority', ...pair }));
}

function stateOf({ policy, suspended }: Service): ServiceState | undefined {
  return policy.maintenance ? { kind: 'maintenance' } : suspended;
}

/**
 * Those who have more right to one route first. A service has its own name, whoever declares that as well; any other route
 * stays with the service that got its policy first.
 */
function byRight(a: RouteClaim, b: RouteClaim): number {
  return (
    b.priority - a.priority ||
    Number(b.isOwnName) - Number(a.isOwnName) ||
    bySince(a.since, b.since) ||
    (a.service < b.service ? -1 : +(a.service !== b.service)) ||
    b.own - a.own
  );
}

export const routeKey = ({ host, path }: RouteClaim): string => host + path;

function claimsOf(service: Service): readonly RouteClaim[] {
  const claims: RouteClaim[] = [];
  if (service.policy.mode === 'http') for (const route of service.policy.routes) addClaims(claims, service, route);
  else addNames(claims, service);
  return claims;
}

/** The names and protocols of a shared port, as if they were hosts and paths. */
function addNames(claims: RouteClaim[], { name: service, policy: { sni, port }, since, claim }: Service): void {
  if (sni === undefined || port === undefined || !allowsPort(claim, port)) return;
  const target = routeTarget(service);
  for (const name of sni.names) {
    if (!allowsHost(claim, service, name)) continue;
    const isOwnName = ownHosts(service).includes(name);
    for (const path of sni.protocols.length === 0 ? ['/'] : sni.protocols.map((protocol) => `/${protocol}/`))
      claims.push({
        ...{ service, target, host: nameOnPort(name, port), path },
        ...{ priority: 0, own: 0, isOwnName, since, match: undefined },
      });
  }
}

function addClaims(claims: RouteClaim[], { name: service, since, claim }: Service, route: Route): void {
  const names = ownHosts(service);
  const priority = Math.min(route.priority, claim.priority);
  const match = route.match && matchText(route.match);
  for (const host of hostsOf(route, service)) {
    if (!allowsHost(claim, service, host)) continue;
    const isOwnName = names.includes(host);
    for (const prefix of route.paths) {
      const path = prefix.endsWith('/') ? prefix : `${prefix}/`;
      const stripped = route.strip ? segmentsOf(prefix) : 0;
      const common = { service, host, priority, own: route.priority, isOwnName, since };
      if (match === undefined) claims.push({ ...common, path, match, target: routeTarget(service, stripped) });
      else {
        const target = matchTarget(service, stripped, match);
        claims.push({ ...common, path: `${path}?${matchId(match)}`, match, target });
      }
    }
  }
}

/** The map file: one `key value` a line, sorted, so that equal routes are equal bytes. */
export function formatRoutes(routes: Routes): string {
  const lines = [];
  for (const [key, target] of routes) lines.push(`${key} ${target}\n`);
  return lines.sort().join('');
}
