import { describe } from '../../model/fault.ts';
import type { Revision } from '../../model/revision.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import { ownedFault, type Session, type SessionOptions } from '../registry.ts';
import { keepAlive } from './keepalive.ts';
import type { KeySpace } from './key-space.ts';
import { SessionLease } from './lease.ts';
import type { EtcdAccess } from './member-client.ts';
import type { MemberSource } from './member-source.ts';
import { Lifetime, Members } from './members.ts';
import { type OwnedPut, type PutResult, putOwned, removeOwned } from './owned-key.ts';

export type EtcdSessionParts = {
  readonly access: EtcdAccess;
  readonly source: MemberSource;
  readonly keys: KeySpace;
  readonly where: string;
  readonly random: () => number;
  readonly onClose: () => void;
};

/** The value that a key should have, and the lease of its last put. */
type Wanted = { readonly value: string; readonly lease: string };

// Keys can vanish while keep-alives succeed (etcd-io/etcd#14189, #15247), so every third keep-alive verifies the keys.
const verifyEvery = 3;

/**
 * One lease for all keys of a process. When a member does not answer, the session asks the next one with the same lease: only
 * etcd can say that it is lost (a TTL of 0, or that it does not know the lease), never a clock here. Lost keys are put again
 * while the keep-alives go on: thousands of keys take longer than a TTL.
 */
export class EtcdSession implements Session {
  readonly #parts: EtcdSessionParts;
  readonly #options: SessionOptions;
  readonly #members: Members;
  readonly #lifetime = new Lifetime();
  readonly #lease: SessionLease;
  readonly #wanted = new Map<string, Wanted>();
  /** How many puts of a key are under way. Verification leaves these keys alone. */
  readonly #putting = new Map<string, number>();
  #beating: Promise<void> | undefined;
  #beats = 0;
  readonly #verifications = new SerialQueue();
  #verifyWaits = false;
  #unreachable = false;

  constructor(parts: EtcdSessionParts, options: SessionOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#members = new Members({
      ...parts,
      onFailure: (reason) => this.#setReachable(reason),
      onAnswer: () => this.#setReachable(undefined),
    });
    this.#lease = new SessionLease({
      members: this.#members,
      where: parts.where,
      ttlMs: options.ttlMs,
      // Thousands of sessions may find out together that their leases are gone, after an outage longer than their TTL.
      spreadMs: (isFirst) => (isFirst || !this.#unreachable ? 0 : parts.random() * (options.ttlMs / 10)),
      signal: this.#lifetime.signal,
      onGranted: (lease, how) => this.#onGranted(lease, how === 'existed'),
    });
  }

  put(key: string, value: string, signal?: AbortSignal): Promise<Revision> {
    return this.#lifetime.during(signal, (stop) => this.#put(key, value, stop));
  }

  async #put(key: string, value: string, stop: AbortSignal): Promise<Revision> {
    let lease = await this.#lease.granted(stop);
    const before = this.#wanted.get(key);
    const mayReplace = (_: string, holder: string, ours: boolean) => ours || this.#options.mayReplace(key, holder);
    this.#putting.set(key, (this.#putting.get(key) ?? 0) + 1);
    this.#wanted.set(key, { value, lease });
    try {
      for (;;) {
        const result = await this.#putOwned(key, value, lease, mayReplace, stop);
        if (result.kind === 'owned') throw ownedFault(key, result.holder);
        if (result.kind !== 'no-lease') return result.revision;
        this.#onLost(lease);
        lease = await this.#lease.granted(stop);
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
    const lease = this.#lease.current;
    if (!this.#wanted.delete(key) || lease === undefined) return undefined;
    return this.#lifetime.during(signal, (stop) => this.#removeOwned(key, lease, stop));
  }

  async close(signal?: AbortSignal): Promise<void> {
    this.#parts.onClose();
    this.#wanted.clear();
    this.#lifetime.end();
    await this.#lease.revoke(signal ?? timeLimit(5000));
    await this.end();
  }

  /** Closes every socket and timer and leaves the keys to their lease. */
  async end(): Promise<void> {
    this.#lifetime.end();
    this.#members.close();
    await this.#beating;
    await this.#verifications.idle();
  }

  #putOwned(
    key: string,
    value: string,
    lease: string,
    mayReplace: OwnedPut['mayReplace'],
    signal: AbortSignal,
  ): Promise<PutResult> {
    const wanted = { key, value, lease, formerLeases: this.#lease.former, mayReplace };
    return this.#members.run((client, callMs) => putOwned(client, this.#parts.keys, wanted, callMs), signal);
  }

  #removeOwned(name: string, lease: string, signal: AbortSignal): Promise<Revision | undefined> {
    return this.#members.run(
      (client, callMs) => removeOwned(client, this.#parts.keys, { name, lease, callMs }),
      signal,
    );
  }

  #onGranted(granted: string, existed: boolean): void {
    this.#options.onEvent({ kind: 'granted', lease: BigInt(granted).toString(16) });
    this.#beating ??= keepAlive({
      members: this.#members,
      ttlMs: this.#options.ttlMs,
      random: this.#parts.random,
      signal: this.#lifetime.signal,
      begin: existed ? 'at once' : 'after a beat',
      lease: () => this.#lease.current,
      onAnswer: (lease, alive) => this.#onBeat(lease, alive),
      onNone: () => this.#verifySoon(),
      onFailure: (reason) => this.#setReachable(reason),
    });
  }

  #onBeat(lease: string, alive: boolean): void {
    if (this.#members.takesWrites) this.#setReachable(undefined);
    this.#beats += 1;
    if (!alive) this.#onLost(lease);
    else if (this.#beats % verifyEvery === 0) this.#verifySoon();
  }

  #onLost(lease: string): void {
    if (this.#lease.lost(lease)) this.#verifySoon();
  }

  /** One verification at a time; a key that vanishes during one is found by the next. */
  #verifySoon(): void {
    if (this.#verifyWaits) return;
    this.#verifyWaits = true;
    void this.#verifications.run(async () => {
      this.#verifyWaits = false;
      await this.#verify().catch((error: unknown) => this.#setReachable(describe(error)));
    });
  }

  /** Asks etcd which keys are under the lease, and puts the missing ones again. */
  async #verify(): Promise<void> {
    const { signal } = this.#lifetime;
    if (signal.aborted) return;
    const lease = await this.#lease.granted(signal);
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
    if (wanted === undefined || this.#lease.current !== lease || this.#putting.has(key)) return;
    const result = await this.#putOwned(key, wanted.value, lease, () => false, stop);
    const now = this.#wanted.get(key);
    if (now === undefined) {
      // The key was removed during the put.
      await this.#removeOwned(key, lease, stop);
      return;
    }
    switch (result.kind) {
      case 'put': {
        const reason = wanted.lease === lease ? 'it was not there any more' : 'its lease had run out';
        this.#wanted.set(key, { ...now, lease });
        return this.#options.onEvent({ kind: 'restored', key, reason });
      }
      case 'ours':
        return;
      case 'owned':
        // A put that began meanwhile decides about the key itself.
        if (this.#putting.has(key)) return;
        this.#wanted.delete(key);
        return this.#options.onEvent({ kind: 'taken', key, holder: result.holder });
      case 'no-lease':
        return this.#onLost(lease);
    }
  }

  #setReachable(reason: string | undefined): void {
    const unreachable = reason !== undefined;
    if (unreachable === this.#unreachable || this.#lifetime.signal.aborted) return;
    this.#unreachable = unreachable;
    this.#options.onEvent(unreachable ? { kind: 'unreachable', reason } : { kind: 'reachable' });
  }
}
