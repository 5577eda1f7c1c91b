import type { IEvent, IWatchResponse } from 'etcd3';
import { type Revision, revision } from '../../model/revision.ts';
import type { Change } from '../registry.ts';
import type { KeySpace } from './key-space.ts';

/** How far a watch has delivered. */
export type Cursor = {
  readonly cluster: string;
  /** raft's term, the highest that was seen. */
  readonly term: bigint;
  /** Everything up to here was delivered. */
  readonly revision: Revision;
  /** Events of a response that is not complete yet. */
  readonly fragments: readonly IEvent[];
};

export type Advance =
  /** The watch has begun. `behind`: the store has changes that were not delivered, in this range or elsewhere. */
  | { readonly kind: 'created'; readonly behind: boolean }
  | {
      readonly kind: 'changes';
      readonly cursor: Cursor;
      readonly changes: readonly Change[];
      /** The changes as etcd's events. */
      readonly events: readonly IEvent[];
    }
  | { readonly kind: 'progress'; readonly cursor: Cursor }
  /** Nothing to deliver yet. */
  | { readonly kind: 'wait'; readonly cursor: Cursor }
  /** The history from here on cannot be had: list again. */
  | { readonly kind: 'relist'; readonly reason: string }
  /** This stream is over; a new one may go on from the cursor. */
  | { readonly kind: 'restart'; readonly reason: string };

type Response = Pick<
  IWatchResponse,
  'header' | 'created' | 'canceled' | 'compact_revision' | 'cancel_reason' | 'fragment' | 'events' | 'watch_id'
>;

/**
 * The meaning of a response of a watch. The revision advances only to that of the last event of a complete response, or to
 * the header of a periodic progress report. Not to a header in general: that is the store's revision when the response was
 * made, and events up to it may still be on their way.
 */
export function advance(before: Cursor, response: Response, keys: KeySpace): Advance {
  const { header, canceled, created, events, fragment } = response;
  const storeRevision = BigInt(header.revision);
  const term = BigInt(header.raft_term);
  // etcd's gRPC proxy makes up some answers, such as that a watch has begun which it shares among clients. They have no data of
  // the cluster.
  const madeUp = header.cluster_id === '0';
  if (!madeUp && header.cluster_id !== before.cluster) return { kind: 'relist', reason: 'this is another cluster' };
  // A cluster restored behind the same addresses has the same id and may have passed our revision, in another history; its
  // terms begin again. (A member that was away can send an old term, too: another list is harmless.)
  if (!madeUp && term < before.term) return { kind: 'relist', reason: "raft's term went back: data was restored" };
  const cursor = madeUp ? before : { ...before, term };
  if (canceled) {
    return response.compact_revision === '0'
      ? { kind: 'restart', reason: response.cancel_reason || 'etcd ended the watch' }
      : { kind: 'relist', reason: `history before revision ${response.compact_revision} was compacted` };
  }
  // A requested progress report (watch_id -1) may carry the revision of a member that lags behind.
  if (response.watch_id === '-1') return { kind: 'wait', cursor };
  if (madeUp) return created ? { kind: 'created', behind: false } : { kind: 'wait', cursor };
  if (storeRevision < cursor.revision) return { kind: 'relist', reason: 'the revision went back: data was restored' };
  if (created) return { kind: 'created', behind: storeRevision > cursor.revision };
  if (events.length === 0 && !fragment && cursor.fragments.length === 0) {
    return { kind: 'progress', cursor: { ...cursor, revision: revision(storeRevision) } };
  }
  const all = cursor.fragments.length === 0 ? events : [...cursor.fragments, ...events];
  if (fragment) return { kind: 'wait', cursor: { ...cursor, fragments: all } };

  // After a reconnect a stream may begin with what was delivered already.
  const fresh = all.filter(({ kv }) => BigInt(kv.mod_revision) > cursor.revision);
  if (fresh.length === 0) return { kind: 'wait', cursor: { ...cursor, fragments: [] } };
  const changes = fresh.map((event) => changeOf(event, keys));
  const last = fresh.reduce((most, { kv }) => (BigInt(kv.mod_revision) > most ? BigInt(kv.mod_revision) : most), 0n);
  return { kind: 'changes', cursor: { ...cursor, revision: revision(last), fragments: [] }, changes, events: fresh };
}

function changeOf({ type, kv }: IEvent, keys: KeySpace): Change {
  return type === 'Delete'
    ? { kind: 'delete', key: keys.fromBytes(kv.key), revision: revision(kv.mod_revision) }
    : { kind: 'put', entry: keys.toEntry(kv) };
}
