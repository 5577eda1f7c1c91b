import type { Continuity } from './continuity.ts';
import type { KnownHistory } from './known-history.ts';
import type { Cursor } from './watch-cursor.ts';

/** The delivered events, and the data with which a new watch can continue after them. */
export type Delivered = {
  readonly cursor: Cursor;
  readonly continuity: Continuity;
  readonly history: KnownHistory;
};

/** Why the stream of a watch ended. */
export type StreamEnd =
  /** A new stream may continue. `stuck`: etcd had changes for the watch and did not send them in time. */
  | { readonly kind: 'restart'; readonly reason: string; readonly stuck: boolean }
  /** etcd does not have the history after the cursor. `replaced`: because it has another history. */
  | { readonly kind: 'relist'; readonly reason: string; readonly replaced?: string | undefined }
  | { readonly kind: 'closed' | 'refresh'; readonly reason: string };

/** The state of a follower between two connections. */
export type FollowState = {
  /** Undefined until the first list has been read. */
  readonly delivered: Delivered | undefined;
  /** Whether the next connection reads a list, or continues after `delivered`. */
  readonly next: 'list' | 'continue';
  /** Why the history of etcd is another one than that of `delivered`, if a watch noticed that. */
  readonly replaced: string | undefined;
  /** Connections that failed in a row. */
  readonly failures: number;
  /** Watches in a row that began and did not deliver the changes that etcd has. */
  readonly stuck: number;
};

/** An answer of a member to a follower. */
export type FollowAnswer =
  | { readonly kind: 'listed'; readonly delivered: Delivered }
  /** The watch proved to work and has delivered everything up to the cursor. */
  | { readonly kind: 'advanced'; readonly cursor: Cursor }
  /** The watch has delivered all changes that etcd has. */
  | { readonly kind: 'caught-up' }
  /** The connection failed, or its watch ended. */
  | { readonly kind: 'ended'; readonly end: StreamEnd };

/** After so many stuck watches in a row the follower reads a list instead. */
const mostStuck = 2;

export const emptyState: FollowState = {
  delivered: undefined,
  next: 'list',
  replaced: undefined,
  failures: 0,
  stuck: 0,
};

/** The state after an answer. */
export function stepFollow(state: FollowState, answer: FollowAnswer): FollowState {
  const { delivered } = state;
  switch (answer.kind) {
    case 'listed':
      return { ...state, delivered: answer.delivered, next: 'continue', replaced: undefined };
    case 'advanced':
      return { ...state, delivered: delivered && { ...delivered, cursor: answer.cursor }, failures: 0 };
    case 'caught-up':
      return { ...state, stuck: 0 };
    case 'ended':
      return stepEnded(state, answer.end);
  }
}

function stepEnded({ delivered, next, replaced, failures, stuck }: FollowState, end: StreamEnd): FollowState {
  const stuckNow = stuck + Number(end.kind === 'restart' && end.stuck);
  const list = end.kind === 'relist' || end.kind === 'refresh' || stuckNow >= mostStuck;
  return {
    // A new watch sends an incomplete response again from its beginning.
    delivered: delivered && { ...delivered, cursor: { ...delivered.cursor, fragments: [] } },
    next: list ? 'list' : next,
    replaced: (end.kind === 'relist' ? end.replaced : undefined) ?? replaced,
    failures: failures + Number(end.kind !== 'refresh'),
    stuck: list ? 0 : stuckNow,
  };
}
