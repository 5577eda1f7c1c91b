import { List, Map as PersistentMap } from 'immutable';
import type { ServiceName } from '../../model/name.ts';

/** `at`: ms of a clock. */
type Deadline = { readonly at: number; readonly service: ServiceName };

/**
 * The deadlines of services, by the wait in ms with which each was set. Those of one wait are in order of time, so a step costs what
 * changed, however many services are guarded. A deadline may be obsolete when it is due: the guard ignores it then.
 */
export type Deadlines = PersistentMap<number, List<Deadline>>;

export const noDeadlines: Deadlines = PersistentMap();

export function withDeadline(deadlines: Deadlines, ms: number, deadline: Deadline): Deadlines {
  return deadlines.set(ms, (deadlines.get(ms) ?? List<Deadline>()).push(deadline));
}

/** The time of the first deadline; infinity: there is none. */
export function earliest(deadlines: Deadlines): number {
  let next = Number.POSITIVE_INFINITY;
  for (const list of deadlines.values()) next = Math.min(next, list.first()?.at ?? next);
  return next;
}

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
