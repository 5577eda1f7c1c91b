import { describe } from '../../model/fault.ts';
import type { Transaction } from '../registry.ts';
import { isDenied } from './failure.ts';
import type { KeySpace } from './key-space.ts';
import type { MemberClient } from './member-client.ts';
import { bytesWithin } from './tree.ts';

/** Names what etcd denied: its own error does not. Rejects with the error, which is another one if it is about permission. */
export async function namingDenied<T>(call: Promise<T>, what: () => string | Promise<string>): Promise<T> {
  return call.catch(async (error: unknown) => {
    const text = describe(error);
    if (!isDenied(text)) throw error;
    throw new Error(`permission denied to ${await what()}`);
  });
}

export const describeRange = (prefix: string): string =>
  prefix === '' ? 'all keys' : `the keys that begin with ${prefix}`;

const never = '9223372036854775807';

/** Finds what a transaction may not do, by transactions of one key each whose comparison never holds, so that they write nothing. */
export async function deniedIn(
  client: MemberClient,
  keys: KeySpace,
  { changes, unwritten }: Transaction,
  callMs: number,
): Promise<string> {
  const isRefused = (call: Promise<unknown>): Promise<boolean> =>
    call.then(
      () => false,
      (error: unknown) => isDenied(describe(error)),
    );
  const options = () => ({ deadline: Date.now() + callMs });
  for (const range of unwritten?.ranges ?? []) {
    const compare = [{ ...bytesWithin(keys, range), target: 'Mod', result: 'Equal', mod_revision: never } as const];
    if (await isRefused(client.kv.txn({ compare, success: [], failure: [] }, options())))
      return `read ${describeRange(range.first)}`;
  }
  for (const { key, value } of changes) {
    const at = keys.toBytes(key);
    const compare = [{ key: at, target: 'Mod', result: 'Equal', mod_revision: never } as const];
    const write =
      value === undefined
        ? { request_delete_range: { key: at } }
        : { request_put: { key: at, value: keys.toValue(value) } };
    if (await isRefused(client.kv.txn({ compare, success: [write], failure: [] }, options()))) return `write ${key}`;
  }
  return `read or write ${changes.map(({ key }) => key).join(', ')}`;
}
