import type { ServerTraffic } from '../../haproxy/stat.ts';

/** The errors of one server at one time. */
type Sample = { readonly at: number; readonly errors: number };

/** What is known of one server: how often HAProxy took it down for errors, and its errors of the last time, oldest first. */
type Counted = { readonly markedDown: number; readonly samples: readonly Sample[] };

/** The servers of one service. `workerPid`: a new worker counts from 0. */
export type ErrorCounts = { readonly workerPid: number | undefined; readonly servers: ReadonlyMap<string, Counted> };

/** Errors as a client sees them: answers of status 5xx, connections that failed and answers that broke off. */
const errorsOf = ({ answers, failures }: ServerTraffic): number =>
  answers['5xx'] + failures.connect + failures.response;

/**
 * Takes a look at the servers of a service: which of them HAProxy took down since the look before, and how many errors each of these
 * made within `withinMs` or, because a look is a moment in time, a little longer. At the first look nothing is known of before, except for the
 * server that HAProxy told of (`told`).
 */
export function lookAtErrors(
  before: ErrorCounts | undefined,
  now: number,
  workerPid: number | undefined,
  traffic: ReadonlyMap<string, ServerTraffic>,
  withinMs: number,
  told?: string,
): { readonly counts: ErrorCounts; readonly marked: readonly { readonly id: string; readonly recent: number }[] } {
  const servers = new Map<string, Counted>();
  const marked: { readonly id: string; readonly recent: number }[] = [];
  const known = before !== undefined && before.workerPid === workerPid ? before.servers : new Map<string, Counted>();
  for (const [id, one] of traffic) {
    const errors = errorsOf(one);
    const counted = known.get(id);
    const former = counted?.markedDown ?? (before === undefined && id !== told ? one.markedDown : 0);
    const earlier = counted?.samples ?? [];
    const base = earlier.findLast(({ at }) => at <= now - withinMs) ?? earlier[0] ?? { at: now, errors: 0 };
    // With a short interval of checks it may be up again by now.
    if (one.markedDown > former) marked.push({ id, recent: errors - base.errors });
    const kept = earlier.filter(({ at }) => at >= base.at);
    servers.set(id, { markedDown: one.markedDown, samples: [...kept, { at: now, errors }] });
  }
  return { counts: { workerPid, servers }, marked };
}
