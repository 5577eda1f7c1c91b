import type { ServiceName } from '../model/name.ts';
import type { RouteTarget } from '../model/route-target.ts';

/** One host pattern and one path prefix (with a closing slash) that lead to a service. */
export type Claim = {
  readonly service: ServiceName;
  readonly target: RouteTarget;
  readonly host: string;
  readonly path: string;
  readonly priority: number;
  /** Its host was declared; it is not the service's own name. */
  readonly declared: boolean;
};

/**
 * Makes a map of claims of which no two have the same host and path. The frame looks into it with the most exact host
 * first, and takes the longest path. Where a claim has a higher priority than one that is found before it, the map gets
 * other or further keys, so that this way of looking finds it all the same.
 */
export function settleClaims(claims: readonly Claim[]): Map<string, RouteTarget> {
  const settled = new Map(claims.map(({ host, path, target }) => [host + path, target]));
  if (claims.every(({ priority }) => priority === claims[0]?.priority)) return settled;
  const byHost = new Map<string, Claim[]>();
  for (const claim of claims) {
    const known = byHost.get(claim.host);
    if (known === undefined) byHost.set(claim.host, [claim]);
    else known.push(claim);
  }
  const of = (pattern: string): readonly Claim[] => byHost.get(pattern) ?? [];
  for (const host of new Set([...byHost.keys(), ...crossings(byHost)])) {
    const [domain, label] = isExact(host) ? aroundHost(host) : [];
    const crossed = domain !== undefined && label !== undefined && rises(of(label), of(domain));
    // What is found here, so what must be right here. All else is found under a less exact pattern.
    const found = crossed ? [...of(host), ...of(domain)] : of(host);
    const covering = patternsOver(host).flatMap(of);
    if (!found.some((one) => covering.some((other) => loses(one, other)))) continue;
    for (const { path } of covering) {
      if (!found.some((one) => path.startsWith(one.path))) continue;
      const winner = best(covering.filter((claim) => path.startsWith(claim.path)));
      if (winner !== undefined) settled.set(host + path, winner.target);
    }
  }
  return settled;
}

const isExact = (host: string): boolean => host !== '*' && !host.startsWith('*.') && !host.endsWith('.*');

/** The patterns `*.<domain>` and `<first label>.*` that match this host. */
function aroundHost(host: string): [domain: string | undefined, label: string] {
  const dot = host.indexOf('.');
  return dot === -1 ? [undefined, `${host}.*`] : [`*${host.slice(dot)}`, `${host.slice(0, dot)}.*`];
}

/** The host patterns that match whatever this one matches, the most exact first, as the frame asks for them. */
export function patternsOver(host: string): readonly string[] {
  if (host === '*') return [host];
  const around = isExact(host) ? aroundHost(host).filter((pattern) => pattern !== undefined) : [];
  return [host, ...around, '*'];
}

/** Hosts that `shop.*` and `*.example.com` both match while the latter, asked for first, must not win: `shop.example.com`. */
function* crossings(byHost: ReadonlyMap<string, readonly Claim[]>): Generator<string> {
  const domains = [...byHost].filter(([pattern]) => pattern.startsWith('*.'));
  for (const [label, claims] of byHost) {
    if (!label.endsWith('.*')) continue;
    for (const [domain, others] of domains) {
      if (rises(claims, others)) yield label.slice(0, -1) + domain.slice(2);
    }
  }
}

/** Whether one of these has a higher priority than one of the others. */
function rises(claims: readonly Claim[], others: readonly Claim[]): boolean {
  return claims.some(({ priority }) => others.some((other) => other.priority < priority));
}

/** Whether the first, found as it is, would hide the other one from a request that is the other one's. */
function loses(one: Claim, other: Claim): boolean {
  if (other.priority <= one.priority) return false;
  return one.path.startsWith(other.path) || (one.host !== other.host && other.path.startsWith(one.path));
}

/** The highest priority; of those the most exact host, which comes first; of those the longest path. */
function best(claims: readonly Claim[]): Claim | undefined {
  let winner: Claim | undefined;
  for (const claim of claims) {
    const better =
      winner === undefined ||
      claim.priority > winner.priority ||
      (claim.priority === winner.priority && claim.host === winner.host && claim.path.length > winner.path.length);
    if (better) winner = claim;
  }
  return winner;
}
