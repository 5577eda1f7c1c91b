import { setTimeout as pause } from 'node:timers/promises';
import type { IWatchResponse } from 'etcd3';
import { historyOf } from '../history.ts';
import type { Follower, KeyRange, RegistryEvent } from '../registry.ts';
import { CallTime } from './call-time.ts';
import { Continuity } from './continuity.ts';
import { openStream } from './deadline.ts';
import { describeFailure, failureOf, isSilence } from './failure.ts';
import { type EtcdAccess, type MemberClient, openMember } from './member-client.ts';
import { waitBefore } from './members.ts';
import { Rotation } from './rotation.ts';
import { type KeySpace, list, within } from './tree.ts';
import { advance, type Cursor } from './watch-cursor.ts';

export type FollowOptions = {
  readonly access: EtcdAccess;
  readonly keys: KeySpace;
  readonly range: KeyRange;
  readonly random: () => number;
  readonly onEvent: (event: RegistryEvent) => void;
};

/** Why a stream ended, and whether the history after the cursor is lost with it. */
type StreamEnd = { readonly kind: 'restart' | 'relist' | 'closed' | 'refresh'; readonly reason: string };

// In ms. A stopped member still accepts connections, and its stream says nothing: found in silence + answer at most.
const createdMs = 3000;
const silenceMs = 1200;
const answerMs = 1000;
// A page of a list gets more time after each that took too long: when hundreds begin at once, the member that is asked is
// alive and busy, and lists that are given up half way and begun anew make it busier.
const mostPageMs = 16_000;
// What the deadlines of a watch grow by at most on a slow link.
const mostStretch = 2;
// Everything is read anew now and then, should a change have been missed in a way that nobody has thought of.
const refreshMs = { least: 300_000, most: 600_000 };

/** Follows the tree: a list, then a watch from its revision on, member after member, until closed. */
export function follow({ access, keys, range, random, onEvent }: FollowOptions): Follower {
  const closing = new AbortController();
  const { signal } = closing;
  const tell = (event: RegistryEvent) => {
    if (!signal.aborted) onEvent(event);
  };
  const rotation = new Rotation(access.endpoints, random);
  const time = new CallTime(mostPageMs);
  const bytes = within(keys, range);

  const run = async () => {
    let cursor: Cursor | undefined;
    let continuity = new Continuity(keys, []);
    /** How far the last stream had delivered when its history was lost. */
    let delivered: Cursor | undefined;
    let failures = 0;
    while (!signal.aborted) {
      const wait = waitBefore(failures, rotation.size, random);
      if (wait > 0) await pause(wait, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      let client: MemberClient | undefined;
      let end: StreamEnd;
      try {
        client = await openMember(rotation.current, access, time.ms);
        if (cursor === undefined) {
          const { cluster, term, revision, entries, versions } = await list(client, keys, bytes, {
            pageMs: time.ms,
          });
          cursor = { cluster, term, revision, fragments: [] };
          continuity = new Continuity(keys, versions);
          tell({ kind: 'snapshot', revision, cluster, history: historyOf(delivered, cursor), entries });
        }
        end = await watch(client, cursor, continuity, (next) => {
          cursor = next;
          failures = 0;
        });
      } catch (error) {
        end = { kind: 'restart', reason: describeFailure(failureOf(error)) };
      } finally {
        client?.close();
      }
      delivered = cursor ?? delivered;
      if (end.kind === 'refresh') {
        cursor = undefined;
        continue;
      }
      tell({ kind: 'disconnected', reason: end.reason });
      if (end.kind === 'relist') cursor = undefined;
      else if (cursor !== undefined) cursor = { ...cursor, fragments: [] };
      const silent = isSilence(end.reason);
      failures += 1;
      if (silent) time.silent();
      rotation.next(silent);
    }
  };

  /**
   * One stream, until it ends for whatever reason. `onGood` is called with each advance, before the event, and when the
   * stream has lasted for a while: one that only begins is no better than a failure, and is not to be repeated at once.
   */
  const watch = async (
    client: MemberClient,
    from: Cursor,
    continuity: Continuity,
    onGood: (cursor: Cursor) => void,
  ): Promise<StreamEnd> => {
    const stretch = Math.min(mostStretch, time.stretch);
    const listener = { onMessage: (_: IWatchResponse) => {}, onBytes: () => {}, onEnd: (_: Error | undefined) => {} };
    const stream = await openStream(
      client.watch({
        onMessage: (r) => listener.onMessage(r),
        onBytes: () => listener.onBytes(),
        onEnd: (e) => listener.onEnd(e),
      }),
      createdMs * stretch,
    );
    return new Promise<StreamEnd>((resolve) => {
      let cursor = from;
      let over = false;
      let timer: NodeJS.Timeout;
      /** Of the watch that stands. The member chooses it: etcd's gRPC proxy does so whatever it is asked for. */
      let watchId: string | undefined;
      let startedBehind = false;
      let asking: 'progress and watch' | 'progress' | 'watch' = 'progress and watch';
      let probed = false;
      /** When the member was last asked for anything that it has not answered. */
      let askedAt: number | undefined;
      const finish = (end: StreamEnd) => {
        if (over) return;
        over = true;
        clearTimeout(timer);
        clearTimeout(refresh);
        signal.removeEventListener('abort', onClose);
        // A cancelled stream still reports its end as an error event.
        stream.cancel();
        resolve(end);
      };
      const onClose = () => finish({ kind: 'closed', reason: 'closed' });
      const deadline = (ms: number, reason: string) => {
        clearTimeout(timer);
        timer = setTimeout(() => finish({ kind: 'restart', reason }), ms);
      };
      // After some silence the member is asked to say anything at all: how far it is. etcd's gRPC proxy never answers that,
      // and logs an error each time; so one that does not is asked for another watch instead, which is then cancelled.
      const listen = () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          onGood(cursor);
          if (probed && asking === 'progress and watch') asking = 'watch';
          if (asking !== 'watch') stream.write({ progress_request: {} });
          if (asking !== 'progress' && watchId !== undefined) stream.write({ create_request: { key: bytes.key } });
          askedAt = performance.now();
          deadline(answerMs * stretch, `the member was silent for ${silenceMs + answerMs * stretch} ms`);
        }, silenceMs);
      };
      const cancel = (watch_id: string) => stream.write({ cancel_request: { watch_id } });
      const create = (start: bigint) => {
        const options = { progress_notify: true, fragment: true };
        stream.write({ create_request: { ...bytes, ...options, start_revision: String(start) } });
      };
      // After the last revision that was delivered; but if the store is ahead of that, from that one itself. 3.4.23, and 3.5
      // before 3.5.18, silently drop a deletion at the very revision that was compacted when a watch starts there
      // (etcd-io/etcd#18089, #19179), and say that it is gone when one starts before. Not always so, because whatever
      // starts at or behind the store's revision waits up to 100 ms for etcd to play what was missed.
      const startBehind = (ahead: string) => {
        cancel(ahead);
        watchId = undefined;
        startedBehind = true;
        create(from.revision);
      };
      const take = (response: IWatchResponse) => {
        if (over) return;
        if (askedAt !== undefined) time.answered(performance.now() - askedAt);
        askedAt = undefined;
        listen();
        if (response.created) {
          if (watchId !== undefined) {
            probed = true;
            return void cancel(response.watch_id);
          }
          watchId = response.watch_id;
        } else if (response.watch_id === '-1') asking = 'progress';
        // -1 is of the stream as a whole.
        if (response.watch_id !== '-1' && response.watch_id !== watchId) return;
        const step = advance(cursor, response, keys);
        switch (step.kind) {
          case 'created':
            if (step.behind && !startedBehind) return startBehind(response.watch_id);
            return tell({ kind: 'connected', member: client.endpoint });
          case 'changes': {
            const missed = continuity.take(step.events);
            if (missed !== undefined) {
              return finish({ kind: 'relist', reason: `a change of ${missed} never came; reading everything anew` });
            }
            cursor = step.cursor;
            onGood(cursor);
            return tell({ kind: 'changes', revision: cursor.revision, changes: step.changes });
          }
          case 'progress':
            cursor = step.cursor;
            onGood(cursor);
            return tell({ kind: 'progress', revision: cursor.revision });
          case 'wait':
            cursor = step.cursor;
            return;
          case 'relist':
          case 'restart':
            return finish(step);
        }
      };
      const { least, most } = refreshMs;
      const refresh = setTimeout(
        () => finish({ kind: 'refresh', reason: 'time to read everything anew' }),
        least + random() * (most - least),
      );
      signal.addEventListener('abort', onClose, { once: true });
      listener.onMessage = take;
      listener.onEnd = (error) =>
        finish({ kind: 'restart', reason: error ? describeFailure(failureOf(error)) : 'etcd ended the stream' });
      if (signal.aborted) return onClose();
      deadline(createdMs * stretch, `the member did not start the watch within ${createdMs * stretch} ms`);
      askedAt = performance.now();
      create(from.revision + 1n);
    });
  };

  const ended = run();
  return {
    close() {
      closing.abort();
      return ended;
    },
  };
}
