import { randomBytes } from 'node:crypto';
import { describe } from '../../model/fault.ts';
import type { MemberClient } from './member-client.ts';

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
export async function revokeLease(client: MemberClient, ID: string, callMs: number): Promise<void> {
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
