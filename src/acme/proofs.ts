import { createHash } from 'node:crypto';
import { awaitFleet, describeFailure, isReached } from '../fleet/await-fleet.ts';
import { Fleet } from '../fleet/fleet.ts';
import { formatChallenge, isToken } from '../model/acme/challenge.ts';
import { challengeKey } from '../model/acme/keys.ts';
import type { Registry } from '../registry/registry.ts';
import { withTimeLimit } from '../waiting/time-limit.ts';
import { FleetBehind } from './fleet-behind.ts';
import type { LeaderEntries } from './leader-entries.ts';

/** A question of the authority about a host. */
export type Challenge = {
  /** Without the `*.` of a wildcard. */
  readonly host: string;
  readonly token: string;
  readonly keyAuthorization: string;
};

/** Prepares the answers to an authority's questions. */
export type Proofs = {
  readonly type: 'http-01' | 'dns-01';
  /** Resolves when the authority may ask. Rejects with an Error that says what is missing. */
  prepare(challenge: Challenge, signal: AbortSignal): Promise<void>;
  /** Removes the answer. Rejects with an Error. */
  remove(challenge: Challenge, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

/** How long the balancers may take until all of them answer, in ms. */
const fleetMs = 60_000;

/** HTTP-01: every live balancer answers, so it does not matter which one the authority reaches. */
export class HttpProofs implements Proofs {
  readonly type = 'http-01';
  readonly #entries: LeaderEntries;
  readonly #fleet: Fleet;

  constructor(registry: Registry, entries: LeaderEntries) {
    this.#entries = entries;
    this.#fleet = new Fleet(registry);
  }

  async prepare({ host, token, keyAuthorization }: Challenge, signal: AbortSignal): Promise<void> {
    if (!isToken(token)) throw new Error('the token of the authority is not base64url');
    const key = challengeKey(token);
    const value = formatChallenge({ host, answer: keyAuthorization });
    const seen = this.#entries.get(key);
    // The leader before may have written it.
    const revision = seen?.value === value ? seen.revision : await this.#entries.write({ [key]: value });
    if (revision === undefined) throw new Error(`${key} was not written`);
    const progress = await withTimeLimit(fleetMs, signal, async (limit) => {
      await this.#fleet.following(limit);
      return awaitFleet(this.#fleet, { revision, keys: new Set([key]) }, limit);
    });
    if (isReached(progress)) return;
    const reason = `the authority was not told to ask for the answer, because ${describeFailure(progress, fleetMs, key)}`;
    // A balancer that refuses the answer has acknowledged it: another try needs more than patience.
    if (progress.kind === 'heard' && progress.balancers.every(({ behind }) => behind === undefined)) {
      throw new Error(reason);
    }
    throw new FleetBehind(reason, async (until) => {
      await this.#fleet.following(until);
      await awaitFleet(this.#fleet, { revision, keys: new Set() }, until);
    });
  }

  async remove({ token }: Challenge): Promise<void> {
    await this.#entries.write({ [challengeKey(token)]: undefined });
  }

  close(): Promise<void> {
    return this.#fleet.close();
  }
}

/** Sets and removes a TXT record. */
export type SetRecord = (
  action: 'present' | 'cleanup',
  name: string,
  value: string,
  signal: AbortSignal,
) => Promise<void>;

/** DNS-01: a record below the host's name has the answer. */
export class DnsProofs implements Proofs {
  readonly type = 'dns-01';
  readonly #set: SetRecord;

  constructor(set: SetRecord) {
    this.#set = set;
  }

  prepare(challenge: Challenge, signal: AbortSignal): Promise<void> {
    return this.#set('present', recordName(challenge), recordValue(challenge), signal);
  }

  remove(challenge: Challenge, signal: AbortSignal): Promise<void> {
    return this.#set('cleanup', recordName(challenge), recordValue(challenge), signal);
  }

  async close(): Promise<void> {}
}

const recordName = ({ host }: Pick<Challenge, 'host'>): string => `_acme-challenge.${host}.`;

const recordValue = ({ keyAuthorization }: Challenge): string =>
  createHash('sha256').update(keyAuthorization).digest('base64url');
