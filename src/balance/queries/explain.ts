import type { ServerTraffic } from '../../haproxy/stat.ts';
import { formatAddress } from '../../model/address.ts';
import type { Instance } from '../../model/instance.ts';
import { formatDuration } from '../../model/quantity.ts';
import { type Conflict, describeConflict } from '../../render/conflict.ts';
import type { EjectedStatus } from '../ejection/ejecting.ts';

/** Everything that decides whether an instance is served. */
export type Look = {
  readonly service: string;
  readonly id: string;
  readonly key: { readonly revision: string; readonly leased: boolean } | undefined;
  /** The entry is held: the registry does not have it any more. `leftMs` undefined: until an operator releases it. */
  readonly held: { readonly reason: string; readonly leftMs: number | undefined } | undefined;
  /** Why the entry is not served as it is written. */
  readonly rejection: { readonly reason: string; readonly lastGoodServes: boolean } | undefined;
  /** Why the newest policy of the service is not served as it is written. */
  readonly policyRejection: { readonly reason: string; readonly lastGoodServes: boolean } | undefined;
  /** Why nobody can be let in: the file that `auth` of the policy names is missing or cannot be used. */
  readonly secretProblem: string | undefined;
  readonly registered: Instance | undefined;
  readonly instance: Instance | undefined;
  /** The version of the instance, if the split of the policy gives it no share. */
  readonly emptySplit: { readonly version: string | undefined } | undefined;
  /** The requests that the policy's canary gives to the version of the instance. */
  readonly canary: string | undefined;
  /** Such as `drain by ada (why)`. */
  readonly override: string | undefined;
  /** Undefined: it is not ejected. */
  readonly ejection: Pick<EjectedStatus, 'phase' | 'errors' | 'times' | 'endsInMs'> | undefined;
  /** How long the guard serves the instance, whose lease ran out with many others, in ms. */
  readonly guardedForMs: number | undefined;
  /** The `server` lines that HAProxy should have and has. */
  readonly desired: string | undefined;
  readonly served: string | undefined;
  /** A pending removal: it left, and connections to it are open. */
  readonly pendingRemoval: boolean;
  /** Why a reload is needed, and why HAProxy refused the last one. */
  readonly pendingReload: readonly string[];
  readonly refused: string | undefined;
  /** Why the reload of this service waits longer than that of others. */
  readonly paced: string | undefined;
  /** Why its health checks are further apart than the policy says. */
  readonly checkPace: string | undefined;
  /** The present part of this balancer in the rate limit of the fleet. */
  readonly fleetLimit: string | undefined;
  /** The quarantine of the instance or of its service. */
  readonly quarantined: { readonly reason: string; readonly serves: 'last-good' | 'nothing' } | undefined;
  /** The port of the newest policy, while a former policy serves the service on another port. */
  readonly unservedPort: number | undefined;
  readonly routes: readonly string[];
  readonly conflicts: readonly Conflict[];
  /** The hosts whose redirect to HTTPS waits for a certificate. */
  readonly waitingHosts: readonly string[];
  readonly traffic: ServerTraffic | undefined;
};

type Finding = { readonly stage: Stage; readonly state: 'good' | 'bad' | 'note'; readonly says: string };
type Stage =
  | 'key'
  | 'registration'
  | 'policy'
  | 'override'
  | 'guard'
  | 'held'
  | 'ejection'
  | 'split'
  | 'configuration'
  | 'haproxy'
  | 'health'
  | 'routes'
  | 'https'
  | 'limit'
  | 'conflict'
  | 'requests';

/** Why an instance is served or not, in the order of the stages that decide it. */
export type Explanation = {
  readonly service: string;
  readonly instance: string;
  /** `served`: it gets new requests. `served by its former policy`: it gets only requests that the former policy allows. */
  readonly verdict: 'served' | 'served by its former policy' | 'not served';
  /** The first obstacle; without one, that it gets requests. */
  readonly because: string;
  readonly findings: readonly Finding[];
};

export function explain(look: Look): Explanation {
  const findings: Finding[] = [
    ...ofKey(look),
    ...ofPolicy(look),
    ...ofOperators(look),
    ...ofEjection(look),
    ...ofConfiguration(look),
    ...ofConflicts(look),
    ...ofCertificates(look),
    ...ofHaproxy(look),
  ];
  const obstacle = findings.find(({ state }) => state === 'bad');
  const { service, id: instance, quarantined, unservedPort } = look;
  if (obstacle !== undefined) return { service, instance, verdict: 'not served', because: obstacle.says, findings };
  if (unservedPort === undefined || quarantined === undefined)
    return { service, instance, verdict: 'served', because: 'it gets requests', findings };
  const because = `not on port ${unservedPort}: ${quarantined.reason}`;
  return { service, instance, verdict: 'served by its former policy', because, findings };
}

function* ofKey({ service, key, held, rejection, registered, guardedForMs }: Look): Generator<Finding> {
  if (key === undefined && rejection === undefined) {
    if (guardedForMs === undefined) {
      yield { stage: 'key', state: 'bad', says: 'the registry has no such key' };
      return;
    }
    const left = formatDuration(guardedForMs);
    yield { stage: 'key', state: 'note', says: 'the key is gone: its lease expired together with many others' };
    yield {
      stage: 'guard',
      state: 'note',
      says: `guarded for ${left} more while its check passes; pointsman release ends the guard`,
    };
    return;
  }
  if (key !== undefined && held !== undefined) {
    const until = held.leftMs === undefined ? 'until it' : `for ${formatDuration(held.leftMs)} more, unless it`;
    const checked = key.leased ? ' and as long as its check passes' : '';
    yield { stage: 'key', state: 'note', says: `the registry no longer has it: ${held.reason}` };
    const says = `held ${until} is written again or released (pointsman release ${service})${checked}`;
    yield { stage: 'held', state: 'note', says };
  } else if (key !== undefined) {
    const by = key.leased ? 'under a lease' : 'without a lease: it stays until it is deleted';
    yield { stage: 'key', state: 'good', says: `written at revision ${key.revision}, ${by}` };
  }
  if (rejection !== undefined) {
    const after = rejection.lastGoodServes ? '; its previous value is served' : '';
    yield { stage: 'registration', state: rejection.lastGoodServes ? 'note' : 'bad', says: rejection.reason + after };
    // A registration that is not served is never good, even if it is well-formed.
    if (!rejection.lastGoodServes) return;
  }
  if (registered === undefined) return;
  const { address, weight, state } = registered;
  const at = `${formatAddress(address)}, weight ${weight}`;
  if (state === 'ready') yield { stage: 'registration', state: 'good', says: at };
  else yield { stage: 'registration', state: 'bad', says: `the registration says ${state} (${at})` };
}

function* ofPolicy({ policyRejection: rejection, secretProblem }: Look): Generator<Finding> {
  if (secretProblem !== undefined) {
    yield { stage: 'policy', state: 'bad', says: `requests are answered with 503: ${secretProblem}` };
  }
  if (rejection === undefined) return;
  const { reason, lastGoodServes } = rejection;
  const serves = lastGoodServes
    ? 'the last good policy serves'
    : 'there is no last good policy, so no request reaches the service';
  const says = `the newest policy is rejected: ${reason}; ${serves}`;
  yield { stage: 'policy', state: lastGoodServes ? 'note' : 'bad', says };
}

function* ofOperators({ override, instance, registered }: Look): Generator<Finding> {
  if (override === undefined) return;
  const taken = instance !== undefined && (instance.state !== 'ready' || instance.weight === 0);
  const state = taken && registered?.state === 'ready' ? 'bad' : 'note';
  yield { stage: 'override', state, says: override };
}

function* ofEjection({ ejection }: Look): Generator<Finding> {
  if (ejection === undefined) return;
  const { phase, errors, times, endsInMs } = ejection;
  const left = formatDuration(endsInMs);
  const why = `${errors} errors in a row${times > 1 ? `, ${times} times in succession` : ''}`;
  yield phase === 'out'
    ? { stage: 'ejection', state: 'bad', says: `ejected for ${left} more: ${why}` }
    : { stage: 'ejection', state: 'note', says: `on trial for ${left} more, with a tenth of its weight: ${why}` };
}

function* ofConfiguration(look: Look): Generator<Finding> {
  const { desired, served, instance, pendingReload, refused, paced, quarantined, pendingRemoval } = look;
  if (pendingRemoval)
    yield {
      stage: 'configuration',
      state: 'note',
      says: 'it left; HAProxy keeps it in maintenance until HAProxy deletes it or reloads',
    };
  if (instance === undefined) return;
  if (quarantined?.serves === 'last-good') {
    const says = `HAProxy refuses its newest form, so its last good form serves: ${quarantined.reason}`;
    yield { stage: 'configuration', state: 'note', says };
  }
  if (desired === undefined) {
    const says = quarantined?.reason ?? 'the templates rendered no server line for it';
    yield { stage: 'configuration', state: 'bad', says };
  } else if (served === desired) {
    yield { stage: 'configuration', state: 'good', says: served };
  } else {
    const why =
      refused ??
      paced ??
      (pendingReload.length > 0 ? `a reload is due: ${pendingReload[0]}` : 'pointsman is applying it');
    const has = served === undefined ? 'pointsman has not applied it yet' : `pointsman gave HAProxy: ${served}`;
    yield { stage: 'configuration', state: served === undefined ? 'bad' : 'note', says: `${has} (${why})` };
  }
  if (paced !== undefined && served === desired) yield { stage: 'configuration', state: 'note', says: paced };
  const { canary, emptySplit } = look;
  if (canary !== undefined) yield { stage: 'split', state: 'note', says: `the policy's canary gives it ${canary}` };
  if (emptySplit !== undefined) {
    const { version } = emptySplit;
    const whom = version === undefined ? 'instances without a version' : `version ${version}`;
    yield canary === undefined
      ? {
          stage: 'split',
          state: 'bad',
          says: `the policy's split gives ${whom} no requests (pointsman shift ${look.service} --to VERSION)`,
        }
      : { stage: 'split', state: 'note', says: `the policy's split gives ${whom} no other requests` };
  } else if (instance.state === 'ready' && instance.weight === 0)
    yield {
      stage: 'configuration',
      state: 'bad',
      says: 'its weight is 0: it finishes open requests and gets no new ones',
    };
}

const mostConflicts = 5;

function* ofConflicts({ service, routes, conflicts }: Look): Generator<Finding> {
  const lost = conflicts.filter(({ loser }) => loser === service);
  const others = conflicts.filter(({ loser }) => loser !== service);
  const isOut = ({ kind }: Conflict) =>
    kind === 'port' || ((kind === 'route' || kind === 'host') && routes.length === 0);
  for (const conflict of [...lost, ...others].slice(0, mostConflicts)) {
    const isBad = conflict.loser === service && isOut(conflict);
    yield { stage: 'conflict', state: isBad ? 'bad' : 'note', says: describeConflict(conflict) };
  }
  const more = conflicts.length - mostConflicts;
  if (more > 0) yield { stage: 'conflict', state: 'note', says: `and ${more} more` };
}

function* ofCertificates({ waitingHosts: hosts }: Look): Generator<Finding> {
  if (hosts.length === 0) return;
  const more = hosts.length > 3 ? ` and ${hosts.length - 3} more` : '';
  const says = `the redirect to HTTPS waits for a certificate of ${hosts.slice(0, 3).join(', ')}${more}; HTTP is served meanwhile`;
  yield { stage: 'https', state: 'note', says };
}

function* ofHaproxy({ traffic, instance, routes, checkPace, fleetLimit }: Look): Generator<Finding> {
  if (traffic === undefined) {
    if (instance !== undefined) yield { stage: 'haproxy', state: 'bad', says: 'HAProxy has no such server' };
    return;
  }
  const { status, check, checkDetail, sinceS, requests, answers, failures, open, queued } = traffic;
  const since = `for ${formatDuration(sinceS * 1000)}`;
  const takes = /^(UP|no check)/.test(status);
  yield { stage: 'haproxy', state: takes ? 'good' : 'bad', says: `${status} ${since}` };
  if (check !== '') {
    const passes = /^(L4OK|L6OK|L7OK|L7OKC|PROCOK|INI)$/.test(check);
    const detail = checkDetail === '' ? '' : `: ${checkDetail}`;
    yield { stage: 'health', state: passes ? 'good' : takes ? 'note' : 'bad', says: `last check ${check}${detail}` };
  }
  if (checkPace !== undefined) yield { stage: 'health', state: 'note', says: checkPace };
  if (routes.length > 0) {
    const more = routes.length > 3 ? ` and ${routes.length - 3} more` : '';
    yield { stage: 'routes', state: 'good', says: `${routes.slice(0, 3).join(', ')}${more}` };
  }
  if (fleetLimit !== undefined) yield { stage: 'limit', state: 'good', says: fleetLimit };
  const failed = failures.connect + failures.response + answers['5xx'];
  const says = `${requests} so far, ${failed} failed, ${open} open, ${queued} waiting`;
  yield { stage: 'requests', state: failed > 0 ? 'note' : 'good', says };
}
