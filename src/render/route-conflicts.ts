import type { Since } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import { describeRoute, isKept, type MatchedKeys, rightful } from './matched-routes.ts';
import { mostMatches } from './most-matches.ts';
import type { RouteClaim } from './route-claim.ts';

/**
 * Why one of two services with one wish has it: its own name is wished for, its policy is older, its name is the first, or as many matches
 * as HAProxy tests go before that of the other.
 */
export type Because = 'own-name' | 'older' | 'first-by-name' | 'crowded';

/** A service does not get routes that it asks for, because another one asks for them too and has more right to them. */
export type RouteConflict = {
  readonly kind: 'route';
  /** The first of them. */
  readonly route: string;
  /** How many more there are between these two services. */
  readonly more: number;
  readonly because: Because;
  readonly winner: ServiceName;
  readonly loser: ServiceName;
};

/** Those who asked for a route that another one has, at the same priority; one conflict for each two services. */
export function routeConflicts(
  contested: Iterable<string>,
  claims: { get(route: string): readonly RouteClaim[] | undefined },
): readonly RouteConflict[] {
  const conflicts = new Map<string, RouteConflict>();
  for (const route of [...contested].sort()) {
    const [first, ...others] = claims.get(route) ?? [];
    if (first === undefined) continue;
    const winner = first.service;
    for (const { service: loser, priority, ...other } of others) {
      if (loser === winner || priority !== first.priority) continue;
      const key = `${loser} ${winner}`;
      const known = conflicts.get(key);
      if (known !== undefined) conflicts.set(key, { ...known, more: known.more + 1 });
      else {
        const named = { winner, loser, route: describeRoute(route, first.target) };
        conflicts.set(key, { kind: 'route', ...named, more: 0, because: becauseOf(first, other) });
      }
    }
  }
  return [...conflicts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, conflict]) => conflict);
}

/** The matches that ask for requests by the name of another service. */
export function* ownNameConflicts(
  matched: MatchedKeys,
  claims: { get(route: string): readonly RouteClaim[] | undefined },
): Generator<RouteConflict> {
  for (const [main, keys] of [...matched].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [owner] = claims.get(main) ?? [];
    for (const key of [...keys].sort()) {
      const [claim] = claims.get(key) ?? [];
      if (owner === undefined || claim === undefined || !isKept(owner, claim)) continue;
      const named = { winner: owner.service, loser: claim.service, route: describeRoute(key, claim.target) };
      yield { kind: 'route', ...named, more: 0, because: 'own-name' };
    }
  }
}

/** The matches for which one host and path has too many. */
export function* crowdedConflicts(
  matched: MatchedKeys,
  claims: { get(route: string): readonly RouteClaim[] | undefined },
): Generator<RouteConflict> {
  for (const [main, keys] of [...matched].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (keys.size <= mostMatches) continue;
    const some = [...keys].flatMap((key) => claims.get(key)?.[0] ?? []);
    const [winner, ...others] = rightful(claims.get(main)?.[0], some);
    if (winner === undefined) continue;
    for (const { service: loser, host, path, target } of others.slice(mostMatches - 1)) {
      const named = { winner: winner.service, loser, route: describeRoute(host + path, target) };
      yield { kind: 'route', ...named, more: 0, because: 'crowded' };
    }
  }
}

type Right = { readonly since: Since | undefined; readonly isOwnName?: boolean };

export function becauseOf(winner: Right, loser: Right): Because {
  if (winner.isOwnName !== loser.isOwnName) return 'own-name';
  return winner.since === loser.since ? 'first-by-name' : 'older';
}
