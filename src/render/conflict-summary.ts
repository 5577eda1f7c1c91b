import type { ServiceName } from '../model/name.ts';
import { type Conflict, describeConflict } from './conflict.ts';

/** By service that does not get all that it asks for: its first conflict, and how many more it has. */
export function conflictSummaries(conflicts: readonly Conflict[]): ReadonlyMap<ServiceName, string> {
  const byLoser = new Map<ServiceName, { readonly first: Conflict; readonly more: number }>();
  for (const conflict of conflicts) {
    const known = byLoser.get(conflict.loser);
    byLoser.set(
      conflict.loser,
      known === undefined ? { first: conflict, more: 0 } : { ...known, more: known.more + 1 },
    );
  }
  return new Map(
    [...byLoser].map(([service, { first, more }]) => {
      const rest = more === 0 ? '' : `; and ${more} more ${more === 1 ? 'conflict' : 'conflicts'}`;
      return [service, `${describeConflict(first)}${rest}`];
    }),
  );
}
