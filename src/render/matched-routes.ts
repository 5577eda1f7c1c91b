import { createHash } from 'node:crypto';
import { type Map as PersistentMap, Set as PersistentSet } from 'immutable';
import { bySince, type Service } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import { describeMatch, type MatchText } from '../model/policy/match.ts';
import { choiceTarget, matchOfTarget, type RouteTarget } from '../model/route-target.ts';
import { mostMatches } from './most-matches.ts';
import type { RouteClaim } from './route-claim.ts';

/** By host and path, the keys of the routes with a match there. */
export type MatchedKeys = PersistentMap<string, PersistentSet<string>>;

/** The name of a match in the route map. */
export const matchId = (match: MatchText): string =>
  createHash('sha256').update(match).digest('base64url').slice(0, 16);

/** The host and path of a route, without its match. */
export const withoutMatch = (route: string): string => route.split('?', 1)[0] ?? route;

export const hasMatch = (route: string): boolean => route.includes('?');

/** Whether the base configuration has the rules that look for matches. An own one may be from before there were matches. */
export const canMatch = ({ frame }: { readonly frame: { readonly text: string } }): boolean =>
  frame.text.includes('lua.pointsman_match');

/** Services without their routes that have a match. */
export const withoutMatches = (services: {
  get(name: ServiceName): Service | undefined;
}): { get(name: ServiceName): Service | undefined } => ({
  get(name) {
    const service = services.get(name);
    if (service === undefined || service.policy.routes.every(({ match }) => match === undefined)) return service;
    const routes = service.policy.routes.filter(({ match }) => match === undefined);
    return { ...service, policy: { ...service.policy, routes } };
  },
});

/** A route as people read it: `shop.example.com/ (method GET)`. */
export function describeRoute(route: string, target: RouteTarget): string {
  const match = matchOfTarget(target);
  return match === undefined ? route : `${withoutMatch(route)} (${describeMatch(match)})`;
}

/** Adds those of the changed keys that have claims, and removes the others. */
export function changeMatched(
  matched: MatchedKeys,
  changed: ReadonlySet<string>,
  claims: { has(key: string): boolean },
): MatchedKeys {
  return matched.withMutations((all) => {
    for (const key of changed) {
      if (!hasMatch(key)) continue;
      const main = withoutMatch(key);
      const known = all.get(main) ?? PersistentSet<string>();
      const keys = claims.has(key) ? known.add(key) : known.delete(key);
      if (keys.isEmpty()) all.delete(main);
      else all.set(main, keys);
    }
  });
}

/**
 * What the key of a host and a path leads to: to `fallback`, or to the first of these matches that fits a request. Undefined: there is
 * nothing.
 */
export function choose(
  fallback: RouteTarget | undefined,
  owner: RouteClaim | undefined,
  claims: readonly RouteClaim[],
): RouteTarget | undefined {
  const ordered = rightful(owner, claims).slice(0, mostMatches);
  const [first] = ordered;
  if (first === undefined) return fallback;
  return choiceTarget(fallback, first.service, ordered.map(idOf));
}

/** The matches of one host and path in the order in which HAProxy tests them; those beyond `mostMatches` get no requests. */
export const rightful = (owner: RouteClaim | undefined, claims: readonly RouteClaim[]): readonly RouteClaim[] =>
  inOrder(claims.filter((claim) => !isKept(owner, claim)));

/** Whether a service keeps the requests for its own name from the match of another one. */
export const isKept = (owner: RouteClaim | undefined, claim: RouteClaim): boolean =>
  owner?.isOwnName === true && owner.service !== claim.service && owner.priority >= claim.priority;

const idOf = ({ path }: RouteClaim): string => path.slice(path.indexOf('?') + 1);

/**
 * The highest priority first, then the most conditions, then the oldest policy. Among themselves, the routes of one service have the
 * order of their own priorities, whatever these count over other services.
 */
function inOrder(claims: readonly RouteClaim[]): readonly RouteClaim[] {
  const sorted = [...claims].sort(
    (a, b) =>
      b.priority - a.priority ||
      conditionsOf(b) - conditionsOf(a) ||
      bySince(a.since, b.since) ||
      (a.service < b.service ? -1 : +(a.service !== b.service)) ||
      (a.path < b.path ? -1 : 1),
  );
  const own = new Map<ServiceName, RouteClaim[]>();
  for (const claim of sorted) own.set(claim.service, [...(own.get(claim.service) ?? []), claim]);
  for (const some of own.values()) some.sort((a, b) => b.own - a.own);
  return sorted.map(({ service }) => own.get(service)?.shift() as RouteClaim);
}

const conditionsOf = ({ match }: RouteClaim): number => match?.split('&').length ?? 0;

/** Makes the lists of matches in a map in which priorities have added or changed keys. */
export function chooseAll(decided: Map<string, RouteTarget>, claims: readonly RouteClaim[]): void {
  const byTarget = new Map<RouteTarget, RouteClaim>();
  for (const claim of claims) {
    const known = claim.match === undefined ? claim : byTarget.get(claim.target);
    if (known === undefined || claim.priority > known.priority) byTarget.set(claim.target, claim);
  }
  const own = new Map(claims.map((claim) => [claim.host + claim.path, claim]));
  const found = new Map<string, RouteClaim[]>();
  for (const [key, target] of decided) {
    if (!hasMatch(key)) continue;
    const mine = own.get(key);
    const claim = mine?.target === target ? mine : byTarget.get(target);
    // A route with a higher priority gets these requests without their match, by the key of the host and path itself.
    if (claim === undefined || matchOfTarget(target) === undefined) decided.delete(key);
    else found.set(withoutMatch(key), [...(found.get(withoutMatch(key)) ?? []), claim]);
  }
  for (const [main, some] of found) {
    const target = choose(decided.get(main), own.get(main), some);
    if (target !== undefined) decided.set(main, target);
  }
}
