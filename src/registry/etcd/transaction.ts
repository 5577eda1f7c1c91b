import type { ICompare, IRequestOp } from 'etcd3';
import { revision } from '../../model/revision.ts';
import type { GuardedChange, Transaction, TransactionResult } from '../registry.ts';
import { isTooManyOperations } from './failure.ts';
import type { KeySpace } from './key-space.ts';
import type { MemberClient } from './member-client.ts';
import { bytesWithin } from './tree.ts';

/** How many of the written keys of a range are named. */
const mostNamed = 3;

/** Makes the changes in one transaction of etcd. If it does not take place, it answers which of the keys somebody else has changed. */
export async function transact(
  client: MemberClient,
  keys: KeySpace,
  { changes, unwritten }: Transaction,
  callMs: number,
): Promise<TransactionResult> {
  const ranges = (unwritten?.ranges ?? []).map((range) => bytesWithin(keys, range));
  const after = String((unwritten?.since ?? 0n) + 1n);
  const compare = [
    ...changes.map((change) => compareOf(keys, change)),
    // etcd takes the mod revision of a range without keys as 0.
    ...ranges.map((range) => ({ ...range, target: 'Mod', result: 'Less', mod_revision: after }) as const),
  ];
  const asked = client.kv.txn(
    {
      compare,
      success: changes.map((change) => writeOf(keys, change)),
      failure: [
        ...changes.map(({ key }) => ({ request_range: { key: keys.toBytes(key), keys_only: true } })),
        ...ranges.map((range) => ({
          request_range: { ...range, keys_only: true, limit: mostNamed, min_mod_revision: after },
        })),
      ],
    },
    { deadline: Date.now() + callMs },
  );
  const answer = await asked.catch((error: unknown) => {
    if (compare.length > 1 && isTooManyOperations(error)) return undefined;
    throw error;
  });
  if (answer === undefined) return { kind: 'too-many', operations: await mostOperations(client, compare, callMs) };
  if (answer.succeeded) return { kind: 'done', revision: revision(answer.header.revision) };
  const found = answer.responses.map((response) => response.response_range.kvs);
  const changed = changes.filter(({ since }, index) => {
    const now = found[index]?.[0];
    return since === undefined ? now !== undefined : now?.mod_revision !== String(since);
  });
  const written = found.slice(changes.length).flatMap((kvs) => kvs.map(({ key }) => keys.fromBytes(key)));
  return { kind: 'changed', keys: [...new Set([...changed.map(({ key }) => key), ...written])] };
}

/**
 * How many operations etcd takes in a transaction (`--max-txn-ops`), if it does not take all of these: found by transactions that
 * only compare.
 */
async function mostOperations(client: MemberClient, compare: readonly ICompare[], callMs: number): Promise<number> {
  let [taken, refused] = [1, compare.length];
  while (refused - taken > 1) {
    const tried = Math.floor((taken + refused) / 2);
    const some = { compare: compare.slice(0, tried), success: [], failure: [] };
    const isTaken = await client.kv.txn(some, { deadline: Date.now() + callMs }).then(
      () => true,
      (error: unknown) => {
        if (isTooManyOperations(error)) return false;
        throw error;
      },
    );
    if (isTaken) taken = tried;
    else refused = tried;
  }
  return taken;
}

function compareOf(keys: KeySpace, { key, since }: GuardedChange): ICompare {
  const at = keys.toBytes(key);
  return since === undefined
    ? { key: at, target: 'Create', result: 'Equal', create_revision: '0' }
    : { key: at, target: 'Mod', result: 'Equal', mod_revision: String(since) };
}

function writeOf(keys: KeySpace, { key, value }: GuardedChange): IRequestOp {
  const at = keys.toBytes(key);
  return value === undefined
    ? { request_delete_range: { key: at } }
    : { request_put: { key: at, value: keys.toValue(value) } };
}
