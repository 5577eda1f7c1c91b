import type { PortConflict } from './ports.ts';
import type { PriorityConflict, RouteConflict } from './routes.ts';

/** Two services that ask for one thing. */
export type Conflict = RouteConflict | PriorityConflict | PortConflict;

/** As another balancer tells it. */
type Told =
  | { readonly kind: 'route'; readonly route: string; readonly winner?: string | undefined; readonly loser: string }
  | { readonly kind: 'priority'; readonly winner?: string | undefined; readonly loser: string }
  | { readonly kind: 'port'; readonly port: number; readonly winner?: string | undefined; readonly loser: string };

/** One clause for a log or a person. */
export function describeConflict(conflict: Conflict | Told): string {
  const { winner = 'pointsman itself', loser } = conflict;
  if (conflict.kind === 'priority') {
    return `the priority of ${loser} does not count over the hosts of ${winner}: it would take too many entries of the route map`;
  }
  const what = conflict.kind === 'port' ? `port ${conflict.port}` : `route ${conflict.route}`;
  return `${loser} does not get the ${what}: ${winner} has it`;
}
