import type { ServerTraffic } from '../../haproxy/stat.ts';
import type { Ejection } from '../../model/policy/ejection.ts';

/** The errors and the good answers of one server until one time, in ms. */
type Sample = { readonly at: number; readonly errors: number; readonly good: number };

/** What is known of one server: how often HAProxy took it down for errors, and its counts of the last time, oldest first. */
type Counted = { readonly markedDown: number; readonly samples: readonly Sample[] };

/** The servers of one service. `workerPid`: a new worker counts from 0. */
export type ErrorCounts = { readonly workerPid: number | undefined; readonly servers: ReadonlyMap<string, Counted> };

/** A look at the servers of a service. `told`: the server that HAProxy reports to have taken down. */
export type Look = {
  readonly now: number;
  readonly workerPid: number | undefined;
  readonly traffic: ReadonlyMap<string, ServerTraffic>;
  readonly mode: 'http' | 'tcp';
  readonly settings: Pick<Ejection, 'errors' | 'withinMs'>;
  readonly told?: string | undefined;
};

export type Looked = {
  readonly counts: ErrorCounts;
  /** The servers with errors in a row, and how many errors each of them made within the time that the policy sets. */
  readonly marked: readonly { readonly id: string; readonly recent: number }[];
};

/**
 * Finds the servers with errors in a row since the looks before. HAProxy itself takes a server down that makes all its errors between two
 * health checks; a check that passes starts HAProxy's count again, so slower errors show only in the counts of several looks. The first look
 * has no counts from before, except for the server that HAProxy reported.
 */
export function lookAtErrors(before: ErrorCounts | undefined, look: Look): Looked {
  const { now, workerPid, traffic, told } = look;
  const servers = new Map<string, Counted>();
  const marked: { readonly id: string; readonly recent: number }[] = [];
  const known = before !== undefined && before.workerPid === workerPid ? before.servers : new Map<string, Counted>();
  for (const [id, one] of traffic) {
    const sample = sampleOf(one, look);
    const counted = known.get(id);
    const former = counted?.markedDown ?? (before === undefined && id !== told ? one.markedDown : 0);
    const recent = recentErrors(counted?.samples ?? [], sample, look, one.markedDown > former);
    if (recent !== undefined) marked.push({ id, recent });
    const begin = counted?.samples.findLastIndex(({ at }) => at <= now - look.settings.withinMs) ?? -1;
    const kept = counted?.samples.slice(Math.max(begin, 0)) ?? [];
    // Errors that were told do not count again.
    servers.set(id, { markedDown: one.markedDown, samples: recent === undefined ? [...kept, sample] : [sample] });
  }
  return { counts: { workerPid, servers }, marked };
}

/** The errors of a server that makes them in a row; undefined: it does not. */
function recentErrors(
  samples: readonly Sample[],
  { errors, good }: Sample,
  { now, settings: { errors: most, withinMs } }: Look,
  isMarkedDown: boolean,
): number | undefined {
  if (isMarkedDown) {
    // Because a look is a moment in time, the errors may be of a second more.
    const base = samples.findLast(({ at }) => at <= now - withinMs) ?? samples[0];
    return errors - (base?.errors ?? 0);
  }
  const base = samples.find((one) => one.at >= now - withinMs && one.good === good);
  return base !== undefined && errors - base.errors >= most ? errors - base.errors : undefined;
}

/** Answers of status 5xx, connections that failed, answers that broke off, and whatever HAProxy tried again. */
function sampleOf({ answers, failures, requests, open }: ServerTraffic, { now, mode }: Look): Sample {
  const { connect, response, retries, redispatches } = failures;
  const errors = answers['5xx'] + connect + response + retries + redispatches;
  const answered = answers['1xx'] + answers['2xx'] + answers['3xx'] + answers['4xx'];
  return { at: now, errors, good: mode === 'http' ? answered : requests - open - errors };
}
