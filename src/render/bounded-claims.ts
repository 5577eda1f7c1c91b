import type { Map as PersistentMap } from 'immutable';
import { allowsHost } from '../model/claim.ts';
import type { ServiceName } from '../model/name.ts';
import { rankOf } from '../model/route.ts';
import type { Contribution } from './deciding-routes.ts';
import { refusedCertificate } from './own-certificate.ts';
import { isCapped, type RouteClaim } from './route-claim.ts';
import { overlap, related } from './route-set.ts';

type Contributions = PersistentMap<ServiceName, Contribution>;

/** A service does not get hosts that no claim lets it have. */
export type HostConflict = {
  readonly kind: 'host';
  /** The first of them, and some of the others. */
  readonly host: string;
  readonly others: readonly string[];
  /** How many there are besides the first. */
  readonly more: number;
  readonly winner: undefined;
  readonly loser: ServiceName;
};

/** A service does not have the balancer show its servers a certificate that no claim lets it have. */
export type CertificateConflict = {
  readonly kind: 'certificate';
  readonly file: string;
  readonly winner: undefined;
  readonly loser: ServiceName;
};

/** A priority counts for less than it says over another service, which has requests for that reason. */
export type CappedPriority = {
  readonly kind: 'capped-priority';
  readonly priority: number;
  /** As what it counts. */
  readonly counts: number;
  readonly winner: ServiceName;
  readonly loser: ServiceName;
};

// The list is for people. The page of one service has all its conflicts.
const mostOfOne = 10;
const mostOthers = 4;
/** Pairs of claims that are compared, so that the cost is bounded: for a list of all, and for one service. */
const mostCompared = { ofAll: 100_000, ofOne: 1_000_000 };

/** Whether a service asks for something that no claim lets it have. */
export const isBounded = (contribution: Contribution): boolean =>
  refusedHosts(contribution).length > 0 ||
  refusedCertificate(contribution) !== undefined ||
  contribution.claims.some(isCapped);

/** The routes that services ask for beyond their share. */
export function boundedConflicts(
  names: Iterable<ServiceName>,
  services: Contributions,
): readonly (HostConflict | CertificateConflict | CappedPriority)[] {
  const losers = [...names].sort();
  const found = losers.flatMap((name) => [
    ...hostConflict(services.get(name)),
    ...certificateConflict(services.get(name)),
  ]);
  const capped = losers.filter((name) => services.get(name)?.claims.some(isCapped));
  if (capped.length === 0) return found;
  const others = [...services.keys()].sort();
  const budget = { left: mostCompared.ofAll };
  return [...found, ...capped.flatMap((loser) => [...cappedBy(loser, others, services, budget)])];
}

/** The services whose priority would take requests of this one, if it counted. */
export function cappedOver(
  winner: ServiceName,
  names: Iterable<ServiceName>,
  services: Contributions,
): readonly CappedPriority[] {
  const budget = { left: mostCompared.ofOne };
  return [...names].sort().flatMap((loser) => [...cappedBy(loser, [winner], services, budget)]);
}

function* cappedBy(
  loser: ServiceName,
  others: readonly ServiceName[],
  services: Contributions,
  budget: { left: number },
): Generator<CappedPriority> {
  const claims = services.get(loser)?.claims.filter(isCapped) ?? [];
  let found = 0;
  for (const winner of claims.length === 0 ? [] : others) {
    if (found === mostOfOne || budget.left <= 0) return;
    if (winner === loser) continue;
    const theirs = services.get(winner)?.claims ?? [];
    budget.left -= claims.length * theirs.length;
    const lost = claims.find((claim) => theirs.some((other) => wouldTake(claim, other)));
    if (lost === undefined) continue;
    found += 1;
    yield { kind: 'capped-priority', priority: lost.own, counts: lost.priority, winner, loser };
  }
}

/** Whether the priority of a claim would take requests of another one that it does not get as it counts. */
function wouldTake(claim: RouteClaim, other: RouteClaim): boolean {
  if (claim.own <= other.priority || claim.priority > other.priority) return false;
  const [rank, less] = [rankOf(other.host), rankOf(claim.host)];
  if (rank > less || !related(claim.path, other.path)) return false;
  if (claim.host !== other.host) return rank < less && overlap(claim.host, other.host);
  return other.path.length >= claim.path.length;
}

function certificateConflict(contribution: Contribution | undefined): readonly CertificateConflict[] {
  const file = contribution && refusedCertificate(contribution);
  if (file === undefined || contribution === undefined) return [];
  return [{ kind: 'certificate', file, winner: undefined, loser: contribution.name }];
}

function hostConflict(contribution: Contribution | undefined): readonly HostConflict[] {
  const [host, ...others] = contribution === undefined ? [] : refusedHosts(contribution);
  return host === undefined || contribution === undefined
    ? []
    : [
        {
          kind: 'host',
          host,
          others: others.slice(0, mostOthers),
          more: others.length,
          winner: undefined,
          loser: contribution.name,
        },
      ];
}

function refusedHosts({ name, policy, claim }: Contribution): readonly string[] {
  if (claim.hosts === undefined) return [];
  const hosts = new Set(policy.mode === 'tcp' ? policy.sni?.names : policy.routes.flatMap((route) => route.hosts));
  return [...hosts].filter((host) => !allowsHost(claim, name, host)).sort();
}
