import { fairShare } from '../model/fair-share.ts';
import type { ServiceName } from '../model/name.ts';
import { patternsOver } from '../model/route.ts';
import type { RouteClaim } from './route-claim.ts';

/** Services whose priorities do not count, by the service over whose routes they do not. */
export type Overruled = ReadonlyMap<ServiceName, ReadonlySet<ServiceName>>;

/** The routes that the priorities of all services together may add to the route map. */
export const mostFurtherKeys = 100_000;

/** The claims of one service on one host. */
type HostClaims = { readonly service: ServiceName; paths: number; max: number; min: number };

/** Of one service, its hosts `shop.*` or its hosts `*.example.com`, all together. */
type Crossing = HostClaims & { hosts: number };

/** How many further keys it takes that the winner's priority counts over the loser. */
type Charge = { keys: number; readonly winner: ServiceName; readonly loser: ServiceName };

/** By the service that is charged; within it, by the two services. */
type Charges = ReadonlyMap<ServiceName, ReadonlyMap<string, Readonly<Charge>>>;

/**
 * A priority that makes a less exact host win over a more exact one takes further keys in the route map: as many as there
 * are hosts of both, multiplied. Each service has a fair share of `most` such keys. The keys count for the service that raised its
 * priority above 0; if none did, for the service that lowered its priority below 0. When a service is beyond its share, its priority
 * does not count over the services that cost it the most keys: there the more exact host wins.
 */
export function overruledBy(byHost: ReadonlyMap<string, readonly RouteClaim[]>, most = mostFurtherKeys): Overruled {
  const charges = chargesOf(byHost);
  const sums = new Map([...charges].map(([service, others]) => [service, sumOf(others)]));
  const share = fairShare(sums.values(), most);
  const overruled = new Map<ServiceName, Set<ServiceName>>();
  for (const [service, others] of charges) {
    if ((sums.get(service) ?? 0) <= share) continue;
    let used = 0;
    for (const { keys, winner, loser } of [...others.values()].sort(byKeys)) {
      used += keys;
      if (used > share) overruled.set(loser, (overruled.get(loser) ?? new Set<ServiceName>()).add(winner));
    }
  }
  return overruled;
}

const nameOf = ({ winner, loser }: Pick<Charge, 'winner' | 'loser'>): string => `${winner} ${loser}`;

const byKeys = (a: Charge, b: Charge): number => a.keys - b.keys || (nameOf(a) < nameOf(b) ? -1 : 1);

const sumOf = (charges: ReadonlyMap<string, Charge>): number =>
  [...charges.values()].reduce((sum, { keys }) => sum + keys, 0);

function chargesOf(byHost: ReadonlyMap<string, readonly RouteClaim[]>): Charges {
  const charges = new Map<ServiceName, Map<string, Charge>>();
  const charge = (high: HostClaims, low: HostClaims, keys: number) => {
    const [winner, loser] = [high.service, low.service];
    // A policy's own is bounded where it is read.
    if (winner === loser) return;
    const charged = high.max > 0 ? winner : loser;
    const others = charges.get(charged) ?? new Map<string, Charge>();
    charges.set(charged, others);
    const known = others.get(nameOf({ winner, loser }));
    if (known === undefined) others.set(nameOf({ winner, loser }), { keys, winner, loser });
    else known.keys += keys;
  };
  const groups = new Map([...byHost].map(([host, claims]) => [host, grouped(claims)]));
  for (const [host, losers] of groups) {
    for (const pattern of patternsOver(host).slice(1)) {
      for (const loser of losers) {
        for (const winner of groups.get(pattern) ?? []) {
          if (winner.max <= loser.min) break;
          charge(winner, loser, winner.paths);
        }
      }
    }
  }
  const labels = crossing(groups, (host) => host.endsWith('.*'));
  const domains = crossing(groups, (host) => host.startsWith('*.'));
  for (const loser of domains) {
    for (const winner of labels) {
      if (winner.max <= loser.min) break;
      charge(winner, loser, winner.paths * loser.hosts);
    }
  }
  return charges;
}

/** By service, the highest priority first. */
function grouped(claims: readonly RouteClaim[]): readonly HostClaims[] {
  const groups = new Map<ServiceName, HostClaims>();
  for (const { service, priority } of claims) {
    const known = groups.get(service);
    if (known === undefined) groups.set(service, { service, paths: 1, max: priority, min: priority });
    else {
      known.paths += 1;
      known.max = Math.max(known.max, priority);
      known.min = Math.min(known.min, priority);
    }
  }
  return [...groups.values()].sort((a, b) => b.max - a.max);
}

function crossing(
  groups: ReadonlyMap<string, readonly HostClaims[]>,
  isOf: (host: string) => boolean,
): readonly Crossing[] {
  const all = new Map<ServiceName, Crossing>();
  for (const [host, some] of groups) {
    if (!isOf(host)) continue;
    for (const group of some) {
      const known = all.get(group.service);
      if (known === undefined) all.set(group.service, { ...group, hosts: 1 });
      else {
        known.hosts += 1;
        known.paths += group.paths;
        known.max = Math.max(known.max, group.max);
        known.min = Math.min(known.min, group.min);
      }
    }
  }
  return [...all.values()].sort((a, b) => b.max - a.max);
}
