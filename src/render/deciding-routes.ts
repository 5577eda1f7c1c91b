import type { Service } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import { aroundHost, isExact, patternsOver, rankOf } from '../model/route.ts';
import type { RouteTarget } from '../model/route-target.ts';
import type { Overruled } from './priority-shares.ts';
import { isCapped, type RouteClaim } from './route-claim.ts';
import { findRoute } from './route-set.ts';

/** The parts of a service that its routes depend on, and its claims. */
export type Contribution = Pick<Service, 'name' | 'policy' | 'since' | 'claim' | 'suspended'> & {
  readonly claims: readonly RouteClaim[];
};

/**
 * Makes a map of claims of which no two have the same host and path. HAProxy looks into it with the most exact host
 * first, and takes the longest path. Where a claim has a higher priority than one that is found before it, the map gets
 * other or further keys, so that this way of looking finds it all the same. A priority does not count over the services
 * that overrule it.
 */
export function decideRoutes(
  byHost: ReadonlyMap<string, readonly RouteClaim[]>,
  overruled: Overruled,
): Map<string, RouteTarget> {
  const claims = [...byHost.values()].flat();
  const decided = new Map(claims.map(({ host, path, target }) => [host + path, target]));
  if (claims.every(({ priority, own }) => priority === claims[0]?.priority && own === priority)) return decided;
  const capped = new Set(claims.filter(isCapped).map(({ service }) => service));
  const of = (pattern: string): readonly RouteClaim[] => byHost.get(pattern) ?? [];
  const counting = (some: readonly RouteClaim[], over: readonly RouteClaim[]): readonly RouteClaim[] =>
    overruled.size === 0
      ? some
      : some.filter(({ service }) => !over.some((other) => overruled.get(other.service)?.has(service)));
  const hosts = new Set([...byHost.keys(), ...crossings(byHost, counting), ...ownCrossings(byHost, capped)]);
  // A less exact pattern first: what is found there needs no key here.
  for (const host of [...hosts].sort((a, b) => rankOf(b) - rankOf(a))) {
    const [domain, label] = isExact(host) ? aroundHost(host) : [];
    const crossed =
      domain !== undefined &&
      label !== undefined &&
      (rises(counting(of(label), of(domain)), of(domain)) || risesOwn(of(label), of(domain)));
    // Requests find these claims here, so they must be right here. All others are found under a less exact pattern.
    const found = crossed ? [...of(host), ...of(domain)] : of(host);
    const least = Math.min(...found.map(({ priority }) => priority));
    const ofCapped = found.filter(({ service }) => capped.has(service));
    const less = patternsOver(host).slice(crossed ? 2 : 1);
    const covering = [
      ...found,
      ...less.flatMap((pattern) => [
        ...counting(above(of(pattern), least), found),
        ...ownAbove(of(pattern), ofCapped, least),
      ]),
    ];
    if (!found.some((one) => covering.some((other) => loses(one, other)))) continue;
    const own = new Set(of(host).map(({ path }) => path));
    for (const path of [...new Set(covering.map((claim) => claim.path))].sort((a, b) => a.length - b.length)) {
      if (!found.some((one) => path.startsWith(one.path))) continue;
      const target = best(covering.filter((claim) => path.startsWith(claim.path)))?.target;
      if (target === undefined || (!own.has(path) && findRoute(decided, host + path) === target)) continue;
      decided.set(host + path, target);
    }
  }
  return decided;
}

/** Each host's claims, the highest priority first. */
export function claimsByHost(claims: readonly RouteClaim[]): ReadonlyMap<string, readonly RouteClaim[]> {
  const byHost = new Map<string, RouteClaim[]>();
  for (const claim of claims) {
    const known = byHost.get(claim.host);
    if (known === undefined) byHost.set(claim.host, [claim]);
    else known.push(claim);
  }
  for (const some of byHost.values()) some.sort((a, b) => b.priority - a.priority);
  return byHost;
}

/** The claims with a higher priority than this. `claims` are sorted by priority. */
function above(claims: readonly RouteClaim[], priority: number): readonly RouteClaim[] {
  const end = claims.findIndex((claim) => claim.priority <= priority);
  return end === -1 ? claims : claims.slice(0, end);
}

/** Capped claims that have no such priority and still win over a claim of their own service in `found`. */
function ownAbove(claims: readonly RouteClaim[], found: readonly RouteClaim[], least: number): readonly RouteClaim[] {
  if (found.length === 0) return [];
  return claims.filter(
    (claim) => isCapped(claim) && claim.priority <= least && found.some((other) => isOwnAbove(claim, other)),
  );
}

const isOwnAbove = (one: RouteClaim, other: RouteClaim): boolean =>
  one.service === other.service && one.own > other.own;

/** Hosts that `shop.*` and `*.example.com` both match while the latter, asked for first, must not win: `shop.example.com`. */
function* crossings(
  byHost: ReadonlyMap<string, readonly RouteClaim[]>,
  counting: (claims: readonly RouteClaim[], over: readonly RouteClaim[]) => readonly RouteClaim[],
): Generator<string> {
  const least = (claims: readonly RouteClaim[]) => claims.at(-1)?.priority ?? 0;
  const domains = [...byHost].filter(([pattern]) => pattern.startsWith('*.'));
  domains.sort(([, a], [, b]) => least(a) - least(b));
  for (const [label, claims] of byHost) {
    if (!label.endsWith('.*')) continue;
    for (const [domain, others] of domains) {
      if (!rises(claims, others)) break;
      if (rises(counting(claims, others), others)) yield label.slice(0, -1) + domain.slice(2);
    }
  }
}

/** The same as `crossings` for services whose priorities are capped: among its own routes such a priority counts. */
function* ownCrossings(
  byHost: ReadonlyMap<string, readonly RouteClaim[]>,
  capped: ReadonlySet<ServiceName>,
): Generator<string> {
  const domains = new Map<ServiceName, Set<string>>();
  for (const [host, claims] of byHost) {
    for (const { service } of host.startsWith('*.') ? claims : []) {
      if (capped.has(service)) domains.set(service, (domains.get(service) ?? new Set()).add(host));
    }
  }
  for (const [label, claims] of domains.size === 0 ? [] : byHost) {
    if (!label.endsWith('.*')) continue;
    for (const service of new Set(claims.filter(isCapped).map((claim) => claim.service))) {
      for (const domain of domains.get(service) ?? []) {
        if (risesOwn(claims, byHost.get(domain) ?? [])) yield label.slice(0, -1) + domain.slice(2);
      }
    }
  }
}

const risesOwn = (claims: readonly RouteClaim[], others: readonly RouteClaim[]): boolean =>
  claims.some((claim) => isCapped(claim) && others.some((other) => isOwnAbove(claim, other)));

/** Whether one of these has a higher priority than one of the others; both are sorted by priority. */
function rises(claims: readonly RouteClaim[], others: readonly RouteClaim[]): boolean {
  const [highest, lowest] = [claims[0], others.at(-1)];
  return highest !== undefined && lowest !== undefined && highest.priority > lowest.priority;
}

/** Whether the first, found as it is, would hide the other one from a request that is the other one's. */
function loses(one: RouteClaim, other: RouteClaim): boolean {
  const isOver = one.service === other.service ? other.own > one.own : other.priority > one.priority;
  if (!isOver) return false;
  return one.path.startsWith(other.path) || (one.host !== other.host && other.path.startsWith(one.path));
}

/** The winner among all; among its service's, the one that the service itself puts first. */
function best(claims: readonly RouteClaim[]): RouteClaim | undefined {
  const first = highest(claims, ({ priority }) => priority);
  return (
    first &&
    highest(
      claims.filter(({ service }) => service === first.service),
      ({ own }) => own,
    )
  );
}

/** The highest priority; of those the most exact host; of those the longest path. */
function highest(claims: readonly RouteClaim[], priorityOf: (claim: RouteClaim) => number): RouteClaim | undefined {
  let winner: RouteClaim | undefined;
  for (const claim of claims) {
    const more = winner === undefined ? 1 : priorityOf(claim) - priorityOf(winner);
    if (more > 0 || (more === 0 && claim.host === winner?.host && claim.path.length > winner.path.length))
      winner = claim;
  }
  return winner;
}
