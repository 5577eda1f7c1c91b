import { List, Map as PersistentMap } from 'immutable';
import type { ServiceName } from '../../model/name.ts';

/** When something about a service ends, in ms of a clock. */
type Deadline = { readonly at: number; readonly service: ServiceName };

/**
 * Deadlines by how far off they were when they were set, in ms: those of one distance are in order of time. One may be obsolete
 * when its time comes; then it is dropped. So a step costs what changed, however many services are guarded.
 */
export type Deadlines = PersistentMap<number, List<Deadline>>;

export const noDeadlines: Deadlines = PersistentMap();

export function withDeadline(deadlines: Deadlines, ms: number, deadline: Deadline): Deadlines {
  return deadlines.set(ms, (deadlines.get(ms) ?? List<Deadline>()).push(deadline));
}

/** When the first is due; infinity when there is none. */
export function earliest(deadlines: Deadlines): number {
  let next = Number.POSITIVE_INFINITY;
  for (const list of deadlines.values()) next = Math.min(next, list.first()?.at ?? next);
  return next;
}

/** Those whose time has come, and the others. */
export function takeDue(
  deadlines: Deadlines,
  now: number,
): { readonly due: readonly Deadline[]; readonly rest: Deadlines } {
  const due: Deadline[] = [];
  let rest = deadlines;
  for (const [ms, list] of deadlines) {
    let later = list;
    for (let first = later.first(); first !== undefined && first.at <= now; first = later.first()) {
      due.push(first);
      later = later.shift();
    }
    if (later !== list) rest = later.isEmpty() ? rest.delete(ms) : rest.set(ms, later);
  }
  return { due, rest };
}
