import type { ServerChoice } from '../../haproxy/stat.ts';

type Turn = {
  /** How often HAProxy had chosen it at the last look. */
  readonly chosen: number;
  /** `Turns.requests` when HAProxy was last seen to choose it, or when it could first be chosen. */
  readonly since: number;
  /** Whether HAProxy chose it since a server of its service became usable. */
  readonly proven: boolean;
  /** How often in a row it was passed over. */
  readonly times: number;
};

/** Which servers of a round robin had a turn. */
export type Turns = {
  /** The requests that all of them got since the first look. */
  readonly requests: number;
  readonly servers: ReadonlyMap<string, Turn>;
};

/** A server is passed over if its weight would have given it so many requests, and the others got at least so many.
 * After so many times, it has another reason: it may have as many requests open as `maxconn` allows. */
const passed = { turns: 4, requests: 20, times: 3 };

/**
 * Looks at the servers of a service with `roundrobin`. `joined`: a server became usable since the last look, so each server has to prove
 * again that it is chosen. `passedOver` are those that get no requests although the others do; `settled`: each is proven.
 */
export function lookAtTurns(
  before: Turns | undefined,
  choices: ReadonlyMap<string, ServerChoice>,
  joined: boolean,
): { readonly turns: Turns; readonly passedOver: readonly string[]; readonly settled: boolean } {
  // Servers of other zones wait while one of the own zone is up.
  const usable = [...choices].filter(([, one]) => /^(UP|no check)/.test(one.status) && one.weight > 0 && !one.backup);
  const weights = usable.reduce((sum, [, { weight }]) => sum + weight, 0);
  // The counts of a server that was deleted and added again begin at 0.
  const gained = (id: string, chosen: number) => Math.max(0, chosen - (before?.servers.get(id)?.chosen ?? chosen));
  const more = usable.reduce((sum, [id, { chosen }]) => sum + gained(id, chosen), 0);
  const requests = (before?.requests ?? 0) + more;
  const servers = new Map<string, Turn>();
  const passedOver: string[] = [];
  for (const [id, { chosen, weight }] of usable) {
    const known = before?.servers.get(id);
    const gets = gained(id, chosen) > 0;
    const others = requests - (known?.since ?? requests);
    const missed = joined || gets ? 0 : (known?.times ?? 0);
    const over =
      !gets && missed < passed.times && others >= passed.requests && (others * weight) / weights >= passed.turns;
    if (over) passedOver.push(id);
    // A server that is passed over gets a new place, and its patience begins again.
    const since = gets || over || known === undefined ? requests : known.since;
    const times = over ? missed + 1 : missed;
    const proven = gets || times >= passed.times || (known?.proven === true && !joined);
    servers.set(id, { chosen, since, proven, times });
  }
  const settled = before !== undefined && [...servers.values()].every(({ proven }) => proven);
  return { turns: { requests, servers }, passedOver, settled };
}
