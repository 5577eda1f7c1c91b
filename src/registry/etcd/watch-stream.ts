import type { IWatchRequest, IWatchResponse } from 'etcd3';
import { describe } from '../../model/fault.ts';
import type { RegistryEvent } from '../registry.ts';
import type { CallTime } from './call-time.ts';
import type { Continuity } from './continuity.ts';
import { openStream } from './deadline.ts';
import { describeFailure, failureOf } from './failure.ts';
import type { DuplexCall } from './grpc-channel.ts';
import type { KeySpace } from './key-space.ts';
import { type KnownHistory, Replay } from './known-history.ts';
import type { MemberClient } from './member-client.ts';
import type { ByteRange } from './tree.ts';
import { advance, type Cursor } from './watch-cursor.ts';

/** Why a stream ended. */
export type StreamEnd =
  /** A new one may go on. `stuck`: it stood, and told nothing in time although there is something to tell. */
  | { readonly kind: 'restart'; readonly reason: string; readonly stuck: boolean }
  /** The history after the cursor cannot be had. `replaced`: because it is another one. */
  | { readonly kind: 'relist'; readonly reason: string; readonly replaced?: string | undefined }
  | { readonly kind: 'closed' | 'refresh'; readonly reason: string };

export type WatchParts = {
  readonly client: MemberClient;
  readonly keys: KeySpace;
  readonly bytes: ByteRange;
  readonly cursor: Cursor;
  readonly continuity: Continuity;
  readonly history: KnownHistory;
  readonly listedNow: boolean;
  /** What calls to this etcd take. */
  readonly time: CallTime;
  readonly signal: AbortSignal;
  readonly refreshMs: number;
  readonly tell: (event: RegistryEvent) => void;
  /**
   * Called with each advance, before the event, and when the stream has lasted for a while: one that only begins is no better than
   * a failure, and is not to be repeated at once.
   */
  readonly onGood: (cursor: Cursor) => void;
  /** Called when etcd has told what there was to tell. */
  readonly onDelivered: () => void;
};

// In ms. A stopped member still accepts connections, and its stream says nothing: found in silence + answer at most.
const createdMs = 3000;
const silenceMs = 1200;
const answerMs = 1000;
// What these grow by at most on a slow link.
const mostStretch = 2;
// Of a response that arrives piece by piece: 50,000 deletions are 4 MB, and come as one.
const responseMs = 30_000;
// Of what is to be told again: etcd begins with it within 100 ms.
const replayMs = 5000;

/** Where a watch begins, and what etcd is to tell again before it tells anything new. */
type Beginning = { readonly start: bigint; readonly replay: Replay | undefined };

/** One stream, until it ends for whatever reason. */
export async function watch(parts: WatchParts): Promise<StreamEnd> {
  const beginning = parts.listedNow ? { start: parts.cursor.revision + 1n, replay: undefined } : await examine(parts);
  if ('kind' in beginning) return beginning;
  return new Promise<StreamEnd>((resolve, reject) => {
    const stream = new WatchStream(parts, beginning, resolve);
    const opening = parts.client.watch({
      onMessage: (response) => stream.take(response),
      onBytes: () => stream.heard(),
      onEnd: (error) => stream.ended(error),
    });
    openStream(opening, createdMs * stretchOf(parts)).then((call) => stream.begin(call), reject);
  });
}

const stretchOf = ({ time }: WatchParts): number => Math.min(mostStretch, time.stretch);

/**
 * Asks whether the history here may be the one that was followed: whether at our revision it has as many keys. A watch then has
 * etcd tell the last changes again.
 */
async function examine(parts: WatchParts): Promise<Beginning | StreamEnd> {
  const { client, bytes, cursor, continuity, history, keys } = parts;
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
  // Nothing is the same as nothing, and needs no further proof.
  if (count === 0) return { start: revision + 1n, replay: undefined };
  const expected = history.expected(revision);
  if (expected === undefined) return { kind: 'relist', reason: 'no change is remembered that would prove the history' };
  const has = (key: string) => continuity.version(key) !== undefined;
  return { start: expected.since, replay: new Replay(keys, expected.traces, revision, has) };
}

class WatchStream {
  readonly #parts: WatchParts;
  readonly #resolve: (end: StreamEnd) => void;
  readonly #onAbort = () => this.#finish({ kind: 'closed', reason: 'closed' });
  readonly #refresh: NodeJS.Timeout;
  #call: DuplexCall<IWatchRequest> | undefined;
  #cursor: Cursor;
  #start: bigint;
  /** Compares what etcd tells again, until it tells something new. */
  #replay: Replay | undefined;
  #proven: boolean;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #replayTimer: NodeJS.Timeout | undefined;
  /** Of the watch that stands. The member chooses it: etcd's gRPC proxy does so whatever it is asked for. */
  #watchId: string | undefined;
  #startedBehind = false;
  #asking: 'progress and watch' | 'progress' | 'watch' = 'progress and watch';
  #probed = false;
  readonly #stretch: number;
  /** When the member was last asked for anything that it has not answered. */
  #askedAt: number | undefined;
  /** Something is to be told, and was not yet. */
  #owed = false;
  /** When the response began to arrive of which the end has not. */
  #arriving: number | undefined;

  constructor(parts: WatchParts, { start, replay }: Beginning, resolve: (end: StreamEnd) => void) {
    this.#parts = parts;
    this.#resolve = resolve;
    this.#cursor = parts.cursor;
    this.#stretch = stretchOf(parts);
    this.#start = start;
    this.#replay = replay;
    this.#proven = replay === undefined;
    this.#refresh = setTimeout(
      () => this.#finish({ kind: 'refresh', reason: 'time to read everything anew' }),
      parts.refreshMs,
    );
    parts.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (parts.signal.aborted) this.#onAbort();
  }

  begin(call: DuplexCall<IWatchRequest>): void {
    if (this.#over) {
      call.cancel();
      return;
    }
    this.#call = call;
    const ms = createdMs * this.#stretch;
    this.#deadline(ms, `the member did not start the watch within ${ms} ms`);
    this.#askedAt = performance.now();
    this.#create(this.#start);
  }

  /** A part of a response has arrived, so the member is not silent. */
  heard(): void {
    if (this.#over) return;
    const now = performance.now();
    this.#arriving ??= now;
    if (now - this.#arriving > responseMs) {
      this.#finish({ kind: 'relist', reason: `a response took longer than ${responseMs} ms to arrive` });
      return;
    }
    if (this.#watchId === undefined) return;
    this.#listen();
    if (!this.#proven) this.#awaitReplay();
  }

  ended(error: Error | undefined): void {
    const reason = error === undefined ? 'etcd ended the stream' : describeFailure(failureOf(error));
    this.#finish({ kind: 'restart', reason, stuck: false });
  }

  take(response: IWatchResponse): void {
    if (this.#over) return;
    this.#arriving = undefined;
    if (this.#askedAt !== undefined) this.#parts.time.answered(performance.now() - this.#askedAt);
    this.#askedAt = undefined;
    this.#listen();
    const { created, watch_id } = response;
    if (created) {
      if (this.#watchId !== undefined) {
        this.#probed = true;
        this.#cancel(watch_id);
        return;
      }
      this.#watchId = watch_id;
      if (!this.#proven) this.#awaitReplay();
    } else if (watch_id === '-1') this.#asking = 'progress';
    // -1 is of the stream as a whole.
    if (watch_id !== '-1' && watch_id !== this.#watchId) return;
    this.#advance(response);
  }

  #advance(response: IWatchResponse): void {
    const { keys, client, tell } = this.#parts;
    const step = advance(this.#cursor, response, keys);
    switch (step.kind) {
      case 'created':
        this.#owed = !this.#proven || step.behind;
        if (!this.#proven) return;
        if (step.behind && !this.#startedBehind) {
          this.#startBehind(response.watch_id);
          return;
        }
        if (!this.#owed) this.#parts.onDelivered();
        tell({ kind: 'connected', member: client.endpoint });
        return;
      case 'relist':
        if (!this.#proven && response.compact_revision !== '0') {
          this.#startLater(BigInt(response.compact_revision), step.reason);
          return;
        }
        this.#finish(step);
        return;
      case 'restart':
        this.#restart(step.reason);
        return;
      case 'progress':
        if (!this.#proven) return;
        this.#cursor = step.cursor;
        this.#parts.onGood(this.#cursor);
        tell({ kind: 'progress', revision: this.#cursor.revision });
        return;
      case 'wait':
      case 'changes':
        if (this.#replay !== undefined && !this.#replayed(this.#replay, response)) return;
        if (step.kind === 'changes') {
          this.#deliver(step);
          return;
        }
        this.#cursor = step.cursor;
    }
  }

  #deliver({ cursor, events, changes }: Extract<ReturnType<typeof advance>, { kind: 'changes' }>): void {
    const { continuity, history, tell, onGood, onDelivered } = this.#parts;
    const missed = continuity.take(events);
    if (missed !== undefined) {
      this.#finish({ kind: 'relist', reason: `a change of ${missed} never came; reading everything anew` });
      return;
    }
    history.take(events);
    this.#replay = undefined;
    this.#owed = false;
    this.#cursor = cursor;
    onDelivered();
    onGood(cursor);
    tell({ kind: 'changes', revision: cursor.revision, changes });
  }

  /** Whether etcd has told again what was told before, and it was the same. */
  #replayed(replay: Replay, { events, watch_id }: IWatchResponse): boolean {
    if (watch_id === '-1') return false;
    const verdict = replay.take(events);
    if (verdict.kind === 'other') {
      const reason = `${verdict.reason}: data was restored`;
      this.#finish({ kind: 'relist', reason, replaced: reason });
    } else if (verdict.kind === 'same' && this.#proven) return true;
    else if (verdict.kind === 'same') {
      clearTimeout(this.#replayTimer);
      this.#proven = true;
      this.#owed = false;
      this.#parts.onDelivered();
      this.#parts.tell({ kind: 'connected', member: this.#parts.client.endpoint });
      return true;
    }
    return false;
  }

  /** The oldest changes that were to be told again are compacted; the newer ones may do. */
  #startLater(compacted: bigint, reason: string): void {
    const { history, continuity, keys } = this.#parts;
    const { revision } = this.#cursor;
    const expected = history.expected(revision, compacted);
    if (expected === undefined || expected.since <= this.#start) {
      this.#finish({ kind: 'relist', reason });
      return;
    }
    this.#start = expected.since;
    this.#replay = new Replay(keys, expected.traces, revision, (key) => continuity.version(key) !== undefined);
    this.#watchId = undefined;
    this.#create(expected.since);
  }

  /**
   * After a list, at the revision itself if the store is ahead of it. 3.4.23, and 3.5 before 3.5.18, silently drop a deletion at the
   * very revision that was compacted when a watch starts there (etcd-io/etcd#18089, #19179), and say that it is gone when one
   * starts before. Not always so, because whatever starts at or behind the store's revision waits up to 100 ms for etcd to play
   * what was missed.
   */
  #startBehind(ahead: string): void {
    this.#cancel(ahead);
    this.#watchId = undefined;
    this.#startedBehind = true;
    this.#create(this.#cursor.revision);
  }

  // No `fragment`: etcd 3.4 measures the whole response again for each event that it adds to a fragment, so 50,000 events of one
  // revision take it minutes. A response as a whole may have any size.
  #create(start: bigint): void {
    this.#call?.write({
      create_request: { ...this.#parts.bytes, progress_notify: true, start_revision: String(start) },
    });
  }

  #cancel(watch_id: string): void {
    this.#call?.write({ cancel_request: { watch_id } });
  }

  /**
   * After some silence the member is asked to say anything at all: how far it is. etcd's gRPC proxy never answers that, and logs an
   * error each time; so one that does not is asked for another watch instead, which is then cancelled.
   */
  #listen(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#owed) this.#parts.onGood(this.#cursor);
      if (this.#probed && this.#asking === 'progress and watch') this.#asking = 'watch';
      if (this.#asking !== 'watch') this.#call?.write({ progress_request: {} });
      if (this.#asking !== 'progress' && this.#watchId !== undefined) {
        this.#call?.write({ create_request: { key: this.#parts.bytes.key } });
      }
      this.#askedAt = performance.now();
      const ms = answerMs * this.#stretch;
      this.#deadline(ms, `the member was silent for ${silenceMs + ms} ms`);
    }, silenceMs);
  }

  #awaitReplay(): void {
    clearTimeout(this.#replayTimer);
    const reason = `the member did not tell the last changes again within ${replayMs} ms`;
    this.#replayTimer = setTimeout(() => this.#restart(reason), replayMs);
  }

  #deadline(ms: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#restart(reason), ms);
  }

  #restart(reason: string): void {
    this.#finish({ kind: 'restart', reason, stuck: this.#owed });
  }

  #finish(end: StreamEnd): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#replayTimer);
    clearTimeout(this.#refresh);
    this.#parts.signal.removeEventListener('abort', this.#onAbort);
    this.#call?.cancel();
    this.#resolve(end);
  }
}
