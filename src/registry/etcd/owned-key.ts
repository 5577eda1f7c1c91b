import type { ICompare } from 'etcd3';
import { type Revision, revision } from '../../model/revision.ts';
import type { KeySpace } from './key-space.ts';
import { isLeaseGone } from './lease.ts';
import type { MemberClient } from './member-client.ts';

export type OwnedPut = {
  readonly key: string;
  readonly value: string;
  readonly lease: string;
  /** Leases that were ours before: their keys are ours to replace. */
  readonly formerLeases: ReadonlySet<string>;
  /** Whether the present value may be replaced. `ours`: it is under our lease. */
  readonly mayReplace: (key: string, holder: string, ours: boolean) => boolean;
};

export type PutResult =
  | { readonly kind: 'put'; readonly revision: Revision }
  /** The key is under our lease already, and was not changed. */
  | { readonly kind: 'ours'; readonly revision: Revision }
  | { readonly kind: 'owned'; readonly holder: string }
  /** etcd does not know the lease any more. */
  | { readonly kind: 'no-lease' };

const attempts = 8;

/**
 * Puts a key under our lease unless another owner has it, in transactions, so that of two processes with one id only one
 * succeeds. Rejects when the member fails.
 */
export async function putOwned(
  client: MemberClient,
  keys: KeySpace,
  wanted: OwnedPut,
  callMs: number,
): Promise<PutResult> {
  const key = keys.toBytes(wanted.key);
  const value = Buffer.from(wanted.value);
  const absent: ICompare = { key, target: 'Create', result: 'Equal', create_revision: '0' };
  let expected = absent;
  let holder = '';
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const answer = await client.kv
      .txn(
        {
          compare: [expected],
          success: [{ request_put: { key, value, lease: wanted.lease } }],
          failure: [{ request_range: { key } }],
        },
        { deadline: Date.now() + callMs },
      )
      .catch((error: unknown) => {
        if (isLeaseGone(error)) return undefined;
        throw error;
      });
    if (answer === undefined) return { kind: 'no-lease' };
    if (answer.succeeded) return { kind: 'put', revision: revision(answer.header.revision) };
    const found = answer.responses[0]?.response_range.kvs[0];
    if (found === undefined) {
      expected = absent;
      continue;
    }
    const ours = found.lease === wanted.lease;
    holder = found.value.toString('utf8');
    if (ours && (found.value.equals(value) || !wanted.mayReplace(wanted.key, holder, true))) {
      return { kind: 'ours', revision: revision(found.mod_revision) };
    }
    if (!ours && !wanted.formerLeases.has(found.lease) && !wanted.mayReplace(wanted.key, holder, false)) {
      return { kind: 'owned', holder };
    }
    expected = { key, target: 'Mod', result: 'Equal', mod_revision: found.mod_revision };
  }
  // Others go on changing the key during all attempts, so one of them owns it.
  return { kind: 'owned', holder };
}

/** Deletes the key if it is under our lease; undefined when it is not. */
export async function removeOwned(
  client: MemberClient,
  keys: KeySpace,
  { name, lease, callMs }: { readonly name: string; readonly lease: string; readonly callMs: number },
): Promise<Revision | undefined> {
  const key = keys.toBytes(name);
  const answer = await client.kv.txn(
    {
      compare: [{ key, target: 'Lease', result: 'Equal', lease }],
      success: [{ request_delete_range: { key } }],
      failure: [],
    },
    { deadline: Date.now() + callMs },
  );
  return answer.succeeded ? revision(answer.header.revision) : undefined;
}
