import type { IWatchRequest, IWatchResponse } from 'etcd3';
import type { RegistryEvent } from '../registry.ts';
import { type CallTime, openStream } from './call-time.ts';
import { describeFailure, failureOf } from './failure.ts';
import type { Delivered, StreamEnd } from './follow-state.ts';
import type { DuplexCall } from './grpc-channel.ts';
import type { KeySpace } from './key-space.ts';
import type { MemberClient } from './member-client.ts';
import { MemberSilence, openWithinMs } from './member-silence.ts';
import type { ByteRange } from './tree.ts';
import { type Beginning, findBeginning, replayBeginning } from './watch-beginning.ts';
import { type Advance, advance, type Cursor } from './watch-cursor.ts';

export type WatchParts = Delivered & {
  readonly client: MemberClient;
  readonly keys: KeySpace;
  readonly bytes: ByteRange;
  /** Whether the cursor is of a list that was read on this connection: then the history needs no proof. */
  readonly listedNow: boolean;
  /** How long calls to this etcd take. */
  readonly time: CallTime;
  readonly signal: AbortSignal;
  readonly refreshMs: number;
  readonly onEvent: (event: RegistryEvent) => void;
  /**
   * Called with each new cursor, before the event, and when the stream has lasted for a while. Not when a stream begins: a stream
   * that always ends at once counts as a failure, and the next one has to wait.
   */
  readonly onAdvanced: (cursor: Cursor) => void;
  /** Called when etcd has sent all changes that it has. */
  readonly onCaughtUp: () => void;
};

/** Runs one stream. Resolves with the reason why it ended. */
export async function watch(parts: WatchParts): Promise<StreamEnd> {
  const { client, bytes, cursor, keys, time } = parts;
  const beginning = parts.listedNow
    ? { start: cursor.revision + 1n, replay: undefined }
    : await findBeginning(client, bytes, parts, keys);
  if ('kind' in beginning) return beginning;
  return new Promise<StreamEnd>((resolve, reject) => {
    const stream = new WatchStream(parts, beginning, resolve);
    const opening = client.watch({
      onMessage: (response) => stream.onResponse(response),
      onBytes: () => stream.onBytes(),
      onEnd: (error) => stream.onEnd(error),
    });
    openStream(opening, openWithinMs(time)).then((call) => stream.begin(call), reject);
  });
}

class WatchStream {
  readonly #parts: WatchParts;
  readonly #resolve: (end: StreamEnd) => void;
  readonly #onAbort = () => this.#finish({ kind: 'closed', reason: 'closed' });
  readonly #refresh: NodeJS.Timeout;
  readonly #silence: MemberSilence;
  #call: DuplexCall<IWatchRequest> | undefined;
  #cursor: Cursor;
  #beginning: Beginning;
  #over = false;
  /** The current watch. The member chooses the number: etcd's gRPC proxy ignores a requested one. */
  #watchId: string | undefined;
  /** Whether etcd has changes that it has not sent yet. */
  #owed = false;

  constructor(parts: WatchParts, beginning: Beginning, resolve: (end: StreamEnd) => void) {
    this.#parts = parts;
    this.#resolve = resolve;
    this.#cursor = parts.cursor;
    this.#beginning = beginning;
    this.#silence = new MemberSilence({
      time: parts.time,
      ask: (question) => this.#ask(question),
      onQuiet: () => {
        if (!this.#owed) parts.onAdvanced(this.#cursor);
      },
      onLate: (reason) => this.#restart(reason),
      onSlow: (reason) => this.#finish({ kind: 'relist', reason }),
    });
    const refresh: StreamEnd = { kind: 'refresh', reason: 'the periodic read of all keys' };
    this.#refresh = setTimeout(() => this.#finish(refresh), parts.refreshMs);
    parts.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (parts.signal.aborted) this.#onAbort();
  }

  begin(call: DuplexCall<IWatchRequest>): void {
    if (this.#over) {
      call.cancel();
      return;
    }
    this.#call = call;
    this.#silence.begin();
    this.#create();
  }

  onBytes(): void {
    if (!this.#over) this.#silence.pieceArrived(this.#watchId !== undefined);
  }

  onEnd(error: Error | undefined): void {
    const reason = error === undefined ? 'etcd ended the stream' : describeFailure(failureOf(error));
    this.#finish({ kind: 'restart', reason, stuck: false });
  }

  onResponse(response: IWatchResponse): void {
    if (this.#over) return;
    this.#silence.responseArrived();
    const { created, watch_id } = response;
    if (created) {
      if (this.#watchId !== undefined) {
        this.#silence.answered('watch');
        this.#cancel(watch_id);
        return;
      }
      this.#watchId = watch_id;
      if (!this.#proven) this.#silence.awaitReplay();
    } else if (watch_id === '-1') this.#silence.answered('progress');
    // -1 belongs to the stream as a whole.
    if (watch_id === '-1' || watch_id === this.#watchId) this.#advance(response);
  }

  /** Whether etcd has proved that it continues the history of the cursor. */
  get #proven(): boolean {
    return this.#beginning.replay?.done ?? true;
  }

  #advance(response: IWatchResponse): void {
    const step = advance(this.#cursor, response, this.#parts.keys);
    switch (step.kind) {
      case 'created':
        this.#owed = !this.#proven || step.behind;
        if (!this.#proven) return;
        if (step.behind && this.#beginning.start > this.#cursor.revision) this.#startBehind(response.watch_id);
        else this.#connected();
        return;
      case 'relist':
        if (!this.#proven && response.compact_revision !== '0') {
          this.#startLater(BigInt(response.compact_revision), step.reason);
        } else this.#finish(step);
        return;
      case 'restart':
        this.#restart(step.reason);
        return;
      case 'progress':
        if (!this.#proven) return;
        this.#cursor = step.cursor;
        this.#parts.onAdvanced(this.#cursor);
        this.#parts.onEvent({ kind: 'progress', revision: this.#cursor.revision });
        return;
      case 'wait':
        if (this.#replayed(response)) this.#cursor = step.cursor;
        return;
      case 'changes':
        if (this.#replayed(response)) this.#deliver(step);
    }
  }

  #connected(): void {
    if (!this.#owed) this.#parts.onCaughtUp();
    this.#parts.onEvent({ kind: 'connected', member: this.#parts.client.endpoint });
  }

  #deliver({ cursor, events, changes }: Extract<Advance, { kind: 'changes' }>): void {
    const { continuity, history, onEvent, onAdvanced, onCaughtUp } = this.#parts;
    const missed = continuity.take(events);
    if (missed !== undefined) {
      this.#finish({
        kind: 'relist',
        reason: `etcd did not send a change of ${missed}; pointsman reads all keys again`,
      });
      return;
    }
    history.take(events);
    this.#beginning = { ...this.#beginning, replay: undefined };
    this.#owed = false;
    this.#cursor = cursor;
    onCaughtUp();
    onAdvanced(cursor);
    onEvent({ kind: 'changes', revision: cursor.revision, changes });
  }

  /** Whether nothing has to be replayed, or etcd has sent the same changes again. */
  #replayed({ events, watch_id }: IWatchResponse): boolean {
    const { replay } = this.#beginning;
    if (replay === undefined) return true;
    if (watch_id === '-1') return false;
    const provenBefore = replay.done;
    const verdict = replay.take(events);
    if (verdict.kind === 'other') {
      const reason = `${verdict.reason}: data was restored`;
      this.#finish({ kind: 'relist', reason, replaced: reason });
    } else if (verdict.kind === 'same' && !provenBefore) {
      this.#silence.replayed();
      this.#owed = false;
      this.#connected();
    }
    return verdict.kind === 'same';
  }

  /** etcd compacted the oldest changes of the replay: begins at a newer change, if there is one. */
  #startLater(compacted: bigint, reason: string): void {
    const later = replayBeginning({ ...this.#parts, cursor: this.#cursor }, this.#parts.keys, compacted);
    if (later === undefined || later.start <= this.#beginning.start) this.#finish({ kind: 'relist', reason });
    else this.#startAt(later);
  }

  /**
   * Begins again at the revision of the list, if the store is ahead of it. 3.4.23, and 3.5 before 3.5.18, silently drop a deletion at
   * the very revision that was compacted when a watch begins there (etcd-io/etcd#18089, #19179), and report the compaction when a
   * watch begins before. Not always, because a watch that begins at or behind the store's revision waits up to 100 ms until etcd
   * sends the former changes.
   */
  #startBehind(ahead: string): void {
    this.#cancel(ahead);
    this.#startAt({ start: this.#cursor.revision, replay: undefined });
  }

  #startAt(beginning: Beginning): void {
    this.#beginning = beginning;
    this.#watchId = undefined;
    this.#create();
  }

  // No `fragment`: etcd 3.4 measures the whole response again for each event that it adds to a fragment, so 50,000 events of one
  // revision take it minutes. A response as a whole may have any size.
  #create(): void {
    const start_revision = String(this.#beginning.start);
    this.#call?.write({ create_request: { ...this.#parts.bytes, progress_notify: true, start_revision } });
  }

  #cancel(watch_id: string): void {
    this.#call?.write({ cancel_request: { watch_id } });
  }

  #ask(question: 'progress' | 'watch'): void {
    if (question === 'progress') this.#call?.write({ progress_request: {} });
    else if (this.#watchId !== undefined) this.#call?.write({ create_request: { key: this.#parts.bytes.key } });
  }

  #restart(reason: string): void {
    this.#finish({ kind: 'restart', reason, stuck: this.#owed });
  }

  #finish(end: StreamEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#silence.stop();
    clearTimeout(this.#refresh);
    this.#parts.signal.removeEventListener('abort', this.#onAbort);
    this.#call?.cancel();
    this.#resolve(end);
  }
}
