import { setTimeout as pause } from 'node:timers/promises';
import type { IDuplexStream } from 'etcd3';
import type { ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3/lib/rpc.js';
import { describe, Fault } from '../../model/fault.ts';
import type { Revision } from '../../model/revision.ts';
import type { Session, SessionOptions } from '../registry.ts';
import { claim, release } from './claim.ts';
import { openStream, within } from './deadline.ts';
import { describeFailure, failureOf } from './failure.ts';
import { answerBy, beatAfter } from './keepalive.ts';
import type { EtcdAccess, MemberClient } from './member-client.ts';
import { Members } from './members.ts';
import type { KeySpace } from './tree.ts';

export type SessionParts = {
  readonly access: EtcdAccess;
  readonly keys: KeySpace;
  readonly where: string;
  readonly random: () => number;
};

type Beat = IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;

// Keys can vanish while keep-alives go on succeeding (etcd-io/etcd#14189, #15247), so ours are looked at on every third.
const verifyEvery = 3;
const streamMs = 2000;

/**
 * One lease for all keys of a process. A member that does not answer is left for the next one with the same lease: only
 * etcd's own word (a TTL of 0) means that it is lost, never a clock of ours.
 */
export class EtcdSession implements Session {
  readonly #parts: SessionParts;
  readonly #options: SessionOptions;
  readonly #members: Members;
  readonly #closing = new AbortController();
  /** What should be there, by key. */
  readonly #wanted = new Map<string, string>();
  readonly #formerLeases = new Set<string>();
  #lease: string | undefined;
  #granting: Promise<string> | undefined;
  #beating: Promise<void> | undefined;
  #unreachable = false;

  constructor(parts: SessionParts, options: SessionOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#members = new Members({
      ...parts,
      onFailure: (reason) => this.#tellReachable(reason),
      onAnswer: () => this.#tellReachable(undefined),
    });
  }

  async put(key: string, value: string, signal?: AbortSignal): Promise<Revision> {
    const stop = this.#until(signal);
    const lease = await this.#granted(stop);
    const before = this.#wanted.get(key);
    this.#wanted.set(key, value);
    try {
      return await this.#claim(key, value, lease, stop);
    } catch (error) {
      if (before === undefined) this.#wanted.delete(key);
      else this.#wanted.set(key, before);
      throw error;
    }
  }

  async remove(key: string, signal?: AbortSignal): Promise<Revision | undefined> {
    const lease = this.#lease;
    if (!this.#wanted.delete(key) || lease === undefined) return undefined;
    return this.#members.run((client) => release(client, this.#parts.keys, key, lease), this.#until(signal));
  }

  async close(signal?: AbortSignal): Promise<void> {
    this.#wanted.clear();
    this.#closing.abort();
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease !== undefined) {
      const stop = signal ?? AbortSignal.timeout(5000);
      // Whatever goes wrong here, the lease runs out by itself; not found means that it has.
      await this.#members.run((client) => revoke(client, lease), stop).catch(() => undefined);
    }
    await this.end();
  }

  /** Lets go of every socket and timer and leaves the keys to their lease. */
  async end(): Promise<void> {
    this.#closing.abort();
    this.#members.close();
    await this.#beating;
  }

  async #claim(key: string, value: string, lease: string, signal: AbortSignal): Promise<Revision> {
    const { mayReplace } = this.#options;
    const wanted = { key, value, lease, formerLeases: this.#formerLeases, mayReplace };
    let owned: Fault | undefined;
    const revision = await this.#members.run(async (client) => {
      try {
        return await claim(client, this.#parts.keys, wanted);
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'key-owned') throw error;
        owned = error; // an answer, not a failure of the member
        return undefined;
      }
    }, signal);
    if (revision === undefined) throw owned ?? new Fault('key-owned', 'it is held already', { where: key });
    return revision;
  }

  #granted(signal: AbortSignal): Promise<string> {
    if (this.#lease !== undefined) return Promise.resolve(this.#lease);
    // Shared by all puts that wait for it, so it ends with the session and not with one of them.
    this.#granting ??= this.#grant().finally(() => {
      this.#granting = undefined;
    });
    return orAborted(this.#granting, signal, this.#parts.where);
  }

  async #grant(): Promise<string> {
    const TTL = Math.max(1, Math.ceil(this.#options.ttlMs / 1000));
    const { ID } = await this.#members.run((client) => client.lease.leaseGrant({ TTL }), this.#closing.signal);
    this.#lease = ID;
    this.#options.onEvent({ kind: 'granted', lease: BigInt(ID).toString(16) });
    this.#beating ??= this.#keepAlive();
    return ID;
  }

  async #keepAlive(): Promise<void> {
    const { signal } = this.#closing;
    const { ttlMs } = this.#options;
    let line:
      | { readonly client: MemberClient; readonly stream: Beat; readonly next: () => Promise<string> }
      | undefined;
    let wait = beatAfter(ttlMs, this.#parts.random());
    for (let beat = 1; !signal.aborted; beat += 1) {
      await pause(wait, undefined, { signal }).catch(() => undefined);
      const lease = this.#lease;
      if (signal.aborted || lease === undefined) break;
      wait = beatAfter(ttlMs, this.#parts.random());
      try {
        const client = await this.#members.client();
        if (line?.client !== client) {
          line?.stream.cancel();
          const stream = await openStream(client.keepAlive(), streamMs);
          line = { client, stream, next: answersOf(stream) };
        }
        line.stream.write({ ID: lease });
        const ttl = await within(line.next(), answerBy(ttlMs), 'no answer to a keep-alive');
        this.#tellReachable(undefined);
        if (ttl === '0') await this.#renew(lease);
        else if (beat % verifyEvery === 0) await this.#verify(lease);
      } catch (error) {
        if (signal.aborted) break;
        this.#tellReachable(describeFailure(failureOf(error)));
        line?.stream.cancel();
        const current = line?.client;
        line = undefined;
        if (current !== undefined) this.#members.discard(current);
        else
          await this.#members.client().then(
            (client) => this.#members.discard(client),
            () => undefined,
          );
        // At once with the next member: a fifth of the TTL is gone with the one that did not answer.
        wait = Math.min(wait, 20 + this.#parts.random() * 80);
      }
    }
    line?.stream.cancel();
  }

  /** The lease is gone: a new one, and everything under it again. */
  async #renew(lost: string): Promise<void> {
    const { ttlMs } = this.#options;
    this.#formerLeases.add(lost);
    this.#lease = undefined;
    // Thousands may find this out together, after an outage that was longer than their TTL.
    const spread = this.#unreachable ? this.#parts.random() * (ttlMs / 10) : 0;
    if (spread > 0) await pause(spread, undefined, { signal: this.#closing.signal });
    const lease = await this.#granted(this.#closing.signal);
    for (const key of [...this.#wanted.keys()]) await this.#restore(key, lease, 'its lease had run out');
  }

  async #verify(lease: string): Promise<void> {
    const answer = await this.#members.run(
      (client) => client.lease.leaseTimeToLive({ ID: lease, keys: true }),
      this.#until(AbortSignal.timeout(streamMs * 2)),
    );
    const there = new Set(answer.keys.map((key) => this.#parts.keys.fromBytes(Buffer.from(key))));
    for (const key of [...this.#wanted.keys()]) {
      if (!there.has(key)) await this.#restore(key, lease, 'it was not there any more');
    }
  }

  async #restore(key: string, lease: string, reason: string): Promise<void> {
    const value = this.#wanted.get(key);
    if (value === undefined) return;
    const stop = this.#until(AbortSignal.timeout(this.#options.ttlMs));
    const held = await this.#holder(key, lease, stop);
    // It was put while we looked: our list of the lease's keys was older.
    if (held === 'ours') return;
    if (held !== undefined) {
      this.#wanted.delete(key);
      this.#options.onEvent({ kind: 'taken', key, holder: held.value });
      return;
    }
    await this.#claim(key, value, lease, stop);
    this.#options.onEvent({ kind: 'restored', key, reason });
  }

  async #holder(key: string, lease: string, signal: AbortSignal): Promise<'ours' | { value: string } | undefined> {
    const { keys } = this.#parts;
    const { kvs } = await this.#members.run((client) => client.kv.range({ key: keys.toBytes(key) }), signal);
    const [kv] = kvs;
    if (kv === undefined || this.#formerLeases.has(kv.lease)) return undefined;
    return kv.lease === lease ? 'ours' : { value: kv.value.toString('utf8') };
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, signal]);
  }

  #tellReachable(reason: string | undefined): void {
    const unreachable = reason !== undefined;
    if (unreachable === this.#unreachable || this.#closing.signal.aborted) return;
    this.#unreachable = unreachable;
    this.#options.onEvent(unreachable ? { kind: 'unreachable', reason } : { kind: 'reachable' });
  }
}

/** Gives the TTLs that a keep-alive stream answers, one a call; rejects when the stream ends. */
function answersOf(stream: Beat): () => Promise<string> {
  let waiting: { resolve: (ttl: string) => void; reject: (error: Error) => void } | undefined;
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    waiting?.reject(ended);
    waiting = undefined;
  };
  stream.on('data', ({ TTL }) => {
    waiting?.resolve(TTL);
    waiting = undefined;
  });
  stream.on('error', end);
  stream.on('end', () => end(new Error('etcd ended the keep-alive stream')));
  return () =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) reject(ended);
      else waiting = { resolve, reject };
    });
}

async function revoke(client: MemberClient, lease: string): Promise<void> {
  try {
    await client.lease.leaseRevoke({ ID: lease });
  } catch (error) {
    if (!/requested lease not found/.test(describe(error))) throw error;
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal, where: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () =>
      reject(new Fault('registry-unreachable', 'given up before etcd answered', { where, cause: signal.reason }));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
