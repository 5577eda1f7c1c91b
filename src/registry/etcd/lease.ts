import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, Fault } from '../../model/fault.ts';
import { isSilence } from './failure.ts';
import type { MemberClient } from './member-client.ts';
import type { Members } from './members.ts';

/**
 * A random lease ID. We choose the ID instead of etcd, so that a grant with a late answer is not lost: the next attempt
 * requests the same lease, and finds it when the former attempt arrived.
 */
export function newLeaseId(): string {
  const id = randomBytes(8).readBigUInt64BE() >> 1n;
  return String(id === 0n ? 1n : id);
}

/** Has etcd grant the lease. `existed`: an earlier attempt had arrived, so that part of the TTL is gone already. */
export async function grantLease(
  client: MemberClient,
  { ID, ttlMs, callMs }: { readonly ID: string; readonly ttlMs: number; readonly callMs: number },
): Promise<'granted' | 'existed'> {
  const TTL = Math.max(1, Math.ceil(ttlMs / 1000));
  try {
    await client.lease.leaseGrant({ ID, TTL }, { deadline: Date.now() + callMs });
    return 'granted';
  } catch (error) {
    if (/lease already exists/.test(describe(error))) return 'existed';
    throw error;
  }
}

/** Ends the lease, and with it its keys. One that is gone already is as good. */
async function revokeLease(client: MemberClient, ID: string, callMs: number): Promise<void> {
  try {
    await client.lease.leaseRevoke({ ID }, { deadline: Date.now() + callMs });
  } catch (error) {
    if (!isLeaseGone(error)) throw error;
  }
}

/** etcd's word that a lease has run out or was revoked. */
export function isLeaseGone(error: unknown): boolean {
  return /requested lease not found/.test(describe(error));
}

export type SessionLeaseParts = {
  readonly members: Members;
  readonly where: string;
  readonly ttlMs: number;
  /** The time before a lease is requested, in ms. */
  readonly spreadMs: (isFirst: boolean) => number;
  /** Aborts with the session. */
  readonly signal: AbortSignal;
  /** `existed`: an earlier request had arrived, so a part of the TTL is gone. */
  readonly onGranted: (lease: string, how: 'granted' | 'existed') => void;
};

/** The lease of a session: requested when a key needs it, and a new one when etcd has lost it. */
export class SessionLease {
  readonly #parts: SessionLeaseParts;
  readonly #former = new Set<string>();
  #current: string | undefined;
  #granting: Promise<string> | undefined;
  /** The lease that was requested and that etcd has not confirmed. */
  #requested: { readonly ID: string; mayExist: boolean } | undefined;

  constructor(parts: SessionLeaseParts) {
    this.#parts = parts;
  }

  get current(): string | undefined {
    return this.#current;
  }

  /** The lost leases. Keys under them are the session's own. */
  get former(): ReadonlySet<string> {
    return this.#former;
  }

  /** The current lease, or a new one. */
  granted(signal: AbortSignal): Promise<string> {
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    // Shared by all puts that wait for it, so it ends with the session and not with one of them.
    this.#granting ??= this.#grant().finally(() => {
      this.#granting = undefined;
    });
    return orAborted(this.#granting, signal, this.#parts.where);
  }

  /** etcd does not have this lease any more. Returns whether it was the current one. */
  lost(lease: string): boolean {
    if (this.#current !== lease) return false;
    this.#former.add(lease);
    this.#current = undefined;
    return true;
  }

  /** Never rejects: a lease that is not revoked runs out. */
  async revoke(stop: AbortSignal): Promise<void> {
    // A request that is under way ends soon; its lease is revoked too.
    if (this.#granting !== undefined) await orAborted(this.#granting, stop, this.#parts.where).catch(() => undefined);
    const lease = this.#current ?? (this.#requested?.mayExist ? this.#requested.ID : undefined);
    this.#current = undefined;
    if (lease === undefined) return;
    await this.#parts.members.run((client, callMs) => revokeLease(client, lease, callMs), stop).catch(() => undefined);
  }

  async #grant(): Promise<string> {
    const { members, ttlMs, spreadMs, signal, onGranted } = this.#parts;
    const spread = spreadMs(this.#former.size === 0);
    if (spread > 0) await pause(spread, undefined, { signal });
    this.#requested ??= { ID: newLeaseId(), mayExist: false };
    const requested = this.#requested;
    const { ID } = requested;
    const how = await members.run(async (client, callMs) => {
      try {
        return await grantLease(client, { ID, ttlMs, callMs });
      } catch (error) {
        if (isSilence(describe(error)) || signal.aborted) requested.mayExist = true;
        throw error;
      }
    }, signal);
    this.#requested = undefined;
    this.#current = ID;
    onGranted(ID, how);
    return ID;
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal, where: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () =>
      reject(new Fault('registry-unreachable', 'gave up before etcd answered', { where, cause: signal.reason }));
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
