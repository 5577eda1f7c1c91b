import { describe } from '../../model/fault.ts';
import type { Delivered, StreamEnd } from './follow-state.ts';
import type { KeySpace } from './key-space.ts';
import { Replay } from './known-history.ts';
import type { MemberClient } from './member-client.ts';
import type { ByteRange } from './tree.ts';

/** The revision at which a watch begins, and the delivered changes that etcd has to send again first as a proof. */
export type Beginning = { readonly start: bigint; readonly replay: Replay | undefined };

/**
 * Finds where a watch begins that continues after `delivered`. It compares how many keys etcd had at that revision; then the
 * watch compares the last changes (Replay). Resolves with a StreamEnd when the history cannot be continued.
 */
export async function findBeginning(
  client: MemberClient,
  bytes: ByteRange,
  delivered: Delivered,
  keys: KeySpace,
): Promise<Beginning | StreamEnd> {
  const { cursor, continuity } = delivered;
  const { revision } = cursor;
  const replaced = (reason: string): StreamEnd => ({ kind: 'relist', reason, replaced: reason });
  let count: number;
  try {
    const answer = await client.kv.range({ ...bytes, revision: String(revision), count_only: true });
    const { cluster_id } = answer.header;
    if (cluster_id !== '0' && cluster_id !== cursor.cluster) return replaced('this is another cluster');
    count = Number(answer.count);
  } catch (error) {
    const text = describe(error);
    if (/future revision/.test(text)) return replaced('the revision went back: data was restored');
    if (/has been compacted/.test(text))
      return { kind: 'relist', reason: `history before revision ${revision} was compacted` };
    throw error;
  }
  if (count !== continuity.size) {
    return replaced(`there were ${count} keys at revision ${revision} and not ${continuity.size}: data was restored`);
  }
  // Two empty trees are equal without further proof.
  if (count === 0) return { start: revision + 1n, replay: undefined };
  const reason = 'pointsman remembers no change that proves the history';
  return replayBeginning(delivered, keys) ?? { kind: 'relist', reason };
}

/** A beginning at the oldest remembered change after `compacted`; undefined when there is none. */
export function replayBeginning(
  { cursor, continuity, history }: Delivered,
  keys: KeySpace,
  compacted = 0n,
): Beginning | undefined {
  const expected = history.expected(cursor.revision, compacted);
  if (expected === undefined) return undefined;
  const has = (key: string) => continuity.version(key) !== undefined;
  return { start: expected.since, replay: new Replay(keys, expected.traces, cursor.revision, has) };
}
