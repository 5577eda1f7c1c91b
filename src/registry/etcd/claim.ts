import type { ICompare } from 'etcd3';
import { Fault } from '../../model/fault.ts';
import { quote } from '../../model/parsed.ts';
import { type Revision, revision } from '../../model/revision.ts';
import type { MemberClient } from './member-client.ts';
import type { KeySpace } from './tree.ts';

export type Claim = {
  readonly key: string;
  readonly value: string;
  readonly lease: string;
  /** Leases that were ours before: their keys are ours to replace. */
  readonly formerLeases: ReadonlySet<string>;
  readonly mayReplace: (key: string, holder: string) => boolean;
};

const attempts = 8;

/**
 * Puts a key under our lease unless somebody else holds it, in transactions, so that of two processes with one id only one
 * succeeds. Rejects with Fault `key-owned`.
 */
export async function claim(client: MemberClient, keys: KeySpace, wanted: Claim): Promise<Revision> {
  const key = keys.toBytes(wanted.key);
  const value = Buffer.from(wanted.value);
  let expected: ICompare = { key, target: 'Create', result: 'Equal', create_revision: '0' };
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const answer = await client.kv.txn({
      compare: [expected],
      success: [{ request_put: { key, value, lease: wanted.lease } }],
      failure: [{ request_range: { key } }],
    });
    if (answer.succeeded) return revision(answer.header.revision);
    const found = answer.responses[0]?.response_range.kvs[0];
    if (found === undefined) {
      expected = { key, target: 'Create', result: 'Equal', create_revision: '0' };
      continue;
    }
    const ours = found.lease === wanted.lease;
    if (ours && found.value.equals(value)) return revision(found.mod_revision);
    const holder = found.value.toString('utf8');
    if (!ours && !wanted.formerLeases.has(found.lease) && !wanted.mayReplace(wanted.key, holder)) {
      throw new Fault('key-owned', `another owner holds this key with ${quote(holder)}`, {
        where: wanted.key,
        hint: 'stop the other one, wait until its lease runs out, choose another id, or take over explicitly',
      });
    }
    expected = { key, target: 'Mod', result: 'Equal', mod_revision: found.mod_revision };
  }
  throw new Fault('key-owned', `others changed it ${attempts} times while it was being put`, { where: wanted.key });
}

/** Deletes the key if it is under our lease; undefined when it is not. */
export async function release(
  client: MemberClient,
  keys: KeySpace,
  name: string,
  lease: string,
): Promise<Revision | undefined> {
  const key = keys.toBytes(name);
  const answer = await client.kv.txn({
    compare: [{ key, target: 'Lease', result: 'Equal', lease }],
    success: [{ request_delete_range: { key } }],
    failure: [],
  });
  return answer.succeeded ? revision(answer.header.revision) : undefined;
}
