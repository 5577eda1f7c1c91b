import type { ServiceName } from '../model/name.ts';
import type { PortConflict } from './ports.ts';
import type { Because, RouteConflict } from './route-conflicts.ts';
import type { PriorityConflict } from './routes.ts';

/** Two services that ask for one thing. */
export type Conflict = RouteConflict | PriorityConflict | PortConflict;

/** As another balancer tells it. */
type Told = { readonly winner?: string | undefined; readonly loser: string } & (
  | {
      readonly kind: 'route';
      readonly route: string;
      readonly more?: number | undefined;
      readonly because?: Because | undefined;
    }
  | { readonly kind: 'priority' }
  | { readonly kind: 'port'; readonly port: number; readonly because?: Because | undefined }
);

const reasons: Readonly<Record<Because, string>> = {
  'own-name': ', as its own name',
  older: ', and its policy is older',
  'first-by-name': ', as the first by name',
};

/** One clause for a log or a person. */
export function describeConflict(conflict: Conflict | Told): string {
  const { winner = 'pointsman itself', loser } = conflict;
  if (conflict.kind === 'priority') {
    return `the priority of ${loser} does not count over the hosts of ${winner}: it would take too many entries of the route map`;
  }
  const reason = conflict.because === undefined ? '' : reasons[conflict.because];
  if (conflict.kind === 'port') return `${loser} does not get the port ${conflict.port}: ${winner} has it${reason}`;
  const { route, more = 0 } = conflict;
  const what = more === 0 ? `route ${route}: ${winner} has it` : `route ${route} and ${more} more: ${winner} has them`;
  return `${loser} does not get the ${what}${reason}`;
}

export const moreConflicts = (service: string, count: number): string =>
  `${service} does not get what it asks for in ${count} more ${count === 1 ? 'conflict' : 'conflicts'}`;

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
export const lossesIn = (conflict: Conflict): number => (conflict.kind === 'route' ? conflict.more + 1 : 1);
