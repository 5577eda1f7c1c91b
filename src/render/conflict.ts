import type { ServiceName } from '../model/name.ts';
import { mostMatches } from './most-matches.ts';
import type { PortConflict } from './ports.ts';
import type { Because } from './route-conflicts.ts';
import type { RoutesConflict } from './routes.ts';

/** Two services that ask for one thing. */
export type Conflict = RoutesConflict | PortConflict;

/** A conflict that another balancer reports. */
type ConflictRecord = { readonly winner?: string | undefined; readonly loser: string } & (
  | {
      readonly kind: 'route';
      readonly route: string;
      readonly more?: number | undefined;
      readonly because?: Because | undefined;
    }
  | { readonly kind: 'priority' }
  | {
      readonly kind: 'host';
      readonly host: string;
      readonly others?: readonly string[] | undefined;
      readonly more: number;
    }
  | { readonly kind: 'capped-priority'; readonly priority: number; readonly counts: number }
  | {
      readonly kind: 'port';
      readonly port: number;
      readonly because?: Because | undefined;
      readonly ofTemplate?: true | undefined;
      readonly ofClaim?: true | undefined;
      readonly ofHttps?: true | undefined;
    }
  | { readonly kind: 'certificate'; readonly file: string }
);

const reasons: Readonly<Record<Because, string>> = {
  'own-name': ', as its own name',
  older: ', and its policy is older',
  'first-by-name': ', as the first by name',
  crowded: `, because HAProxy tests at most ${mostMatches} matches of one host and path`,
};

const reasonOf = ({ because }: { readonly because?: Because | undefined }): string =>
  because === undefined ? '' : reasons[because];

/** The keys that decide what a service may claim. */
const claimsOn = (service: string): string => `claims/${service}, else claims/*`;

/** One clause for a log or a person. */
export function describeConflict(conflict: Conflict | ConflictRecord): string {
  const itself = conflict.kind === 'port' && conflict.ofTemplate ? 'haproxy.cfg.mustache' : 'pointsman itself';
  const { winner = itself, loser } = conflict;
  switch (conflict.kind) {
    case 'priority':
      return `the priority of ${loser} does not count over the hosts of ${winner}: it would take too many entries of the route map`;
    case 'host': {
      const { host, others = [], more } = conflict;
      const rest = more - others.length;
      const hosts = [host, ...others].join(', ') + (rest > 0 ? ` and ${rest} more` : '');
      return more === 0
        ? `${loser} does not get the host ${hosts}: no claim allows it (${claimsOn(loser)})`
        : `${loser} does not get the hosts ${hosts}: no claim allows them (${claimsOn(loser)})`;
    }
    case 'capped-priority': {
      const { priority, counts } = conflict;
      return `the priority ${priority} of ${loser} counts as ${counts} over ${winner}: no claim allows more (${claimsOn(loser)})`;
    }
    case 'certificate':
      return `${loser} does not get the certificate ${conflict.file} for its servers: no claim allows it (${claimsOn(loser)})`;
    case 'port':
      if (conflict.ofClaim)
        return `${loser} does not get the port ${conflict.port}: no claim allows it (${claimsOn(loser)})`;
      if (conflict.ofHttps)
        return `${loser} does not get connections with its protocols (alpn) on the port ${conflict.port}: HTTPS has them`;
      return `${loser} does not get the port ${conflict.port}: ${winner} has it${reasonOf(conflict)}`;
    case 'route': {
      const { route, more = 0 } = conflict;
      const what = more === 0 ? `${route}: ${winner} has it` : `${route} and ${more} more: ${winner} has them`;
      return `${loser} does not get the route ${what}${reasonOf(conflict)}`;
    }
  }
}

export const moreConflicts = (service: string, count: number): string =>
  `${service} has ${count} more ${count === 1 ? 'conflict' : 'conflicts'}`;

const mostOfOne = 10;
const mostListed = 1000;

/** The first conflicts of each service that does not get what it asks for, and how many more it has. */
export type ConflictList = {
  readonly listed: readonly Conflict[];
  readonly more: Readonly<Record<string, number>>;
};

/** Bounds what one service, and all together, can add to a status. */
export function listConflicts(conflicts: readonly Conflict[]): ConflictList {
  const counts = new Map<string, number>();
  const listed: Conflict[] = [];
  const more: Record<string, number> = {};
  for (const conflict of conflicts) {
    const { loser } = conflict;
    const count = (counts.get(loser) ?? 0) + 1;
    counts.set(loser, count);
    if (count <= mostOfOne && listed.length < mostListed) listed.push(conflict);
    else more[loser] = (more[loser] ?? 0) + 1;
  }
  return { listed, more };
}

/** The conflicts that a service has with others, whoever of them gets what both ask for. */
export const conflictsWith = (conflicts: readonly Conflict[], service: ServiceName): readonly Conflict[] =>
  conflicts.filter(({ winner, loser }) => winner === service || loser === service);

/** How many things a service does not get. */
export const lossesIn = (conflict: Conflict): number => ('more' in conflict ? conflict.more + 1 : 1);
