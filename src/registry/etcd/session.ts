import { setTimeout as pause } from 'node:timers/promises';
import { describe, Fault } from '../../model/fault.ts';
import type { Revision } from '../../model/revision.ts';
import type { Session, SessionOptions } from '../registry.ts';
import { type Claimed, claim, heldFault, type KeyClaim, release } from './claim.ts';
import { isSilence } from './failure.ts';
import { keepAlive } from './keepalive.ts';
import type { KeySpace } from './key-space.ts';
import { grantLease, newLeaseId, revokeLease } from './lease.ts';
import { Lifetime } from './lifetime.ts';
import type { EtcdAccess } from './member-client.ts';
import type { MemberSource } from './member-source.ts';
import { Members } from './members.ts';

export type EtcdSessionParts = {
  readonly access: EtcdAccess;
  readonly source: MemberSource;
  readonly keys: KeySpace;
  readonly where: string;
  readonly random: () => number;
};

/** What should be there, and the lease that it was put under last. */
type Wanted = { readonly value: string; readonly lease: string };

// Keys can vanish while keep-alives go on succeeding (etcd-io/etcd#14189, #15247), so ours are looked at on every third.
const verifyEvery = 3;

/**
 * One lease for all keys of a process. A member that does not answer is left for the next one with the same lease: only
 * etcd's own word (a TTL of 0, or that it does not know the lease) means that it is lost, never a clock of ours. Keys are
 * put again beside the keep-alives, which wait for nothing: thousands of keys take longer than a TTL.
 */
export class EtcdSession implements Session {
  readonly #parts: EtcdSessionParts;
  readonly #options: SessionOptions;
  readonly #members: Members;
  readonly #lifetime = new Lifetime();
  readonly #wanted = new Map<string, Wanted>();
  /** How many puts of a key are under way: they see to it themselves that it stands. */
  readonly #putting = new Map<string, number>();
  readonly #formerLeases = new Set<string>();
  #lease: string | undefined;
  #granting: Promise<string> | undefined;
  /** The lease that etcd was asked for and has not confirmed. */
  #asked: { readonly ID: string; mayExist: boolean } | undefined;
  #beating: Promise<void> | undefined;
  #beats = 0;
  #mending: Promise<void> = Promise.resolve();
  #mendingWaits = false;
  #unreachable = false;

  constructor(parts: EtcdSessionParts, options: SessionOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#members = new Members({
      ...parts,
      onFailure: (reason) => this.#tellReachable(reason),
      onAnswer: () => this.#tellReachable(undefined),
    });
  }

  put(key: string, value: string, signal?: AbortSignal): Promise<Revision> {
    return this.#lifetime.during(signal, (stop) => this.#put(key, value, stop));
  }

  async #put(key: string, value: string, stop: AbortSignal): Promise<Revision> {
    let lease = await this.#granted(stop);
    const before = this.#wanted.get(key);
    const mayReplace = (_: string, holder: string, ours: boolean) => ours || this.#options.mayReplace(key, holder);
    this.#putting.set(key, (this.#putting.get(key) ?? 0) + 1);
    this.#wanted.set(key, { value, lease });
    try {
      for (;;) {
        const claimed = await this.#claim(key, value, lease, mayReplace, stop);
        if (claimed.kind === 'held') throw heldFault(key, claimed.holder);
        if (claimed.kind !== 'no-lease') return claimed.revision;
        this.#lost(lease);
        lease = await this.#granted(stop);
        if (this.#wanted.get(key)?.value === value) this.#wanted.set(key, { value, lease });
      }
    } catch (error) {
      if (before === undefined) this.#wanted.delete(key);
      else this.#wanted.set(key, before);
      throw error;
    } finally {
      const others = (this.#putting.get(key) ?? 1) - 1;
      if (others > 0) this.#putting.set(key, others);
      else this.#putting.delete(key);
    }
  }

  async remove(key: string, signal?: AbortSignal): Promise<Revision | undefined> {
    const lease = this.#lease;
    if (!this.#wanted.delete(key) || lease === undefined) return undefined;
    return this.#lifetime.during(signal, (stop) =>
      this.#members.run((client, callMs) => release(client, this.#parts.keys, { name: key, lease, callMs }), stop),
    );
  }

  async close(signal?: AbortSignal): Promise<void> {
    this.#wanted.clear();
    this.#lifetime.end();
    const stop = signal ?? AbortSignal.timeout(5000);
    // A grant that is under way is over soon; a lease that comes of it is revoked too.
    if (this.#granting !== undefined) await orAborted(this.#granting, stop, this.#parts.where).catch(() => undefined);
    const lease = this.#lease ?? (this.#asked?.mayExist ? this.#asked.ID : undefined);
    this.#lease = undefined;
    if (lease !== undefined) {
      // Whatever goes wrong here, the lease runs out by itself.
      await this.#members.run((client, callMs) => revokeLease(client, lease, callMs), stop).catch(() => undefined);
    }
    await this.end();
  }

  /** Lets go of every socket and timer and leaves the keys to their lease. */
  async end(): Promise<void> {
    this.#lifetime.end();
    this.#members.close();
    await this.#beating;
    await this.#mending;
  }

  #claim(
    key: string,
    value: string,
    lease: string,
    mayReplace: KeyClaim['mayReplace'],
    signal: AbortSignal,
  ): Promise<Claimed> {
    const wanted = { key, value, lease, formerLeases: this.#formerLeases, mayReplace };
    return this.#members.run((client, callMs) => claim(client, this.#parts.keys, wanted, callMs), signal);
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
    const { ttlMs, onEvent } = this.#options;
    const { signal } = this.#lifetime;
    // Thousands may find out together that their leases are gone, after an outage that was longer than their TTL.
    const spread = this.#formerLeases.size > 0 && this.#unreachable ? this.#parts.random() * (ttlMs / 10) : 0;
    if (spread > 0) await pause(spread, undefined, { signal });
    this.#asked ??= { ID: newLeaseId(), mayExist: false };
    const asked = this.#asked;
    const { ID } = asked;
    const granted = await this.#members.run(async (client, callMs) => {
      try {
        return await grantLease(client, { ID, ttlMs, callMs });
      } catch (error) {
        if (isSilence(describe(error)) || signal.aborted) asked.mayExist = true;
        throw error;
      }
    }, signal);
    this.#asked = undefined;
    this.#lease = ID;
    onEvent({ kind: 'granted', lease: BigInt(ID).toString(16) });
    this.#beating ??= keepAlive({
      members: this.#members,
      ttlMs,
      random: this.#parts.random,
      signal,
      // An earlier attempt had arrived: part of the TTL is gone.
      begin: granted === 'existed' ? 'at once' : 'after a beat',
      lease: () => this.#lease,
      onAnswer: (lease, alive) => this.#answered(lease, alive),
      onNone: () => this.#mendSoon(),
      onFailure: (reason) => this.#tellReachable(reason),
    });
    return ID;
  }

  #answered(lease: string, alive: boolean): void {
    if (this.#members.takesWrites) this.#tellReachable(undefined);
    this.#beats += 1;
    if (!alive) this.#lost(lease);
    else if (this.#beats % verifyEvery === 0) this.#mendSoon();
  }

  /** The lease is gone: a new one, and everything under it again. */
  #lost(lease: string): void {
    if (this.#lease !== lease) return;
    this.#formerLeases.add(lease);
    this.#lease = undefined;
    this.#mendSoon();
  }

  /** One at a time; whatever becomes wrong while one is under way is found by the next. */
  #mendSoon(): void {
    if (this.#mendingWaits) return;
    this.#mendingWaits = true;
    this.#mending = this.#mending.then(async () => {
      this.#mendingWaits = false;
      await this.#mend().catch((error: unknown) => this.#tellReachable(describe(error)));
    });
  }

  /** Looks which of our keys are under the lease, and puts the others again. */
  async #mend(): Promise<void> {
    const { signal } = this.#lifetime;
    if (signal.aborted) return;
    const lease = await this.#granted(signal);
    const answer = await this.#members.run(
      (client, callMs) => client.lease.leaseTimeToLive({ ID: lease, keys: true }, { deadline: Date.now() + callMs }),
      signal,
    );
    const there = new Set(answer.keys.map((key) => this.#parts.keys.fromBytes(Buffer.from(key))));
    const missing = [...this.#wanted.keys()].filter((key) => !there.has(key) && !this.#putting.has(key));
    await Promise.all(
      missing.map((key) => this.#lifetime.during(undefined, (stop) => this.#restore(key, lease, stop))),
    );
  }

  async #restore(key: string, lease: string, stop: AbortSignal): Promise<void> {
    const wanted = this.#wanted.get(key);
    if (wanted === undefined || this.#lease !== lease || this.#putting.has(key)) return;
    const claimed = await this.#claim(key, wanted.value, lease, () => false, stop);
    const now = this.#wanted.get(key);
    if (now === undefined) {
      // It was removed while we put it.
      await this.#members.run(
        (client, callMs) => release(client, this.#parts.keys, { name: key, lease, callMs }),
        stop,
      );
      return;
    }
    switch (claimed.kind) {
      case 'put': {
        const reason = wanted.lease === lease ? 'it was not there any more' : 'its lease had run out';
        this.#wanted.set(key, { ...now, lease });
        return this.#options.onEvent({ kind: 'restored', key, reason });
      }
      case 'ours':
        return;
      case 'held':
        // A put that began meanwhile sees to the key itself.
        if (this.#putting.has(key)) return;
        this.#wanted.delete(key);
        return this.#options.onEvent({ kind: 'taken', key, holder: claimed.holder });
      case 'no-lease':
        return this.#lost(lease);
    }
  }

  #tellReachable(reason: string | undefined): void {
    const unreachable = reason !== undefined;
    if (unreachable === this.#unreachable || this.#lifetime.signal.aborted) return;
    this.#unreachable = unreachable;
    this.#options.onEvent(unreachable ? { kind: 'unreachable', reason } : { kind: 'reachable' });
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal, where: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () =>
      reject(new Fault('registry-unreachable', 'given up before etcd answered', { where, cause: signal.reason }));
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
