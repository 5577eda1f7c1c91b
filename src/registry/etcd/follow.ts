import { setTimeout as pause } from 'node:timers/promises';
import { type Follower, type History, historyOf, type KeyRange, type RegistryEvent } from '../registry.ts';
import { CallTime } from './call-time.ts';
import { Continuity } from './continuity.ts';
import { describeFailure, failureOf, isDenied, isSilence } from './failure.ts';
import { type Delivered, emptyState, type FollowAnswer, type StreamEnd, stepFollow } from './follow-state.ts';
import type { KeySpace } from './key-space.ts';
import { KnownHistory } from './known-history.ts';
import { type EtcdAccess, type MemberClient, openMember } from './member-client.ts';
import type { MemberSource } from './member-source.ts';
import { waitBefore } from './members.ts';
import { nextMember, Rotation } from './rotation.ts';
import { type ByteRange, bytesWithin, list, type TreeListing } from './tree.ts';
import { watch } from './watch-stream.ts';

export type FollowOptions = {
  readonly access: EtcdAccess;
  readonly source: MemberSource;
  readonly keys: KeySpace;
  readonly range: KeyRange;
  readonly random: () => number;
  readonly onEvent: (event: RegistryEvent) => void;
};

// A page of a list gets more time after each page that took too long. When hundreds of followers begin at once, the member
// is alive and busy, and a list that is given up and begun again makes it busier.
const mostPageMs = 16_000;
// A follower reads a new list now and then, in case it missed a change in a way that no check here covers.
const refreshMs = { least: 300_000, most: 600_000 };

/**
 * Follows the tree until closed: reads a list, then watches from its revision on, on one member after the other. stepFollow
 * decides what follows an answer; this class connects, waits and delivers.
 */
export class EtcdFollower implements Follower {
  readonly #options: FollowOptions;
  readonly #bytes: ByteRange;
  readonly #closing = new AbortController();
  readonly #rotation: Rotation;
  readonly #time = new CallTime(mostPageMs);
  readonly #ended: Promise<void>;
  #state = emptyState;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#bytes = bytesWithin(options.keys, options.range);
    this.#rotation = new Rotation([], options.random);
    this.#ended = this.#run();
  }

  close(): Promise<void> {
    this.#closing.abort();
    return this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { random, source } = this.#options;
    while (!signal.aborted) {
      const wait = waitBefore(this.#state.failures, this.#rotation.size, random);
      if (wait > 0) await pause(wait, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const end = await this.#connect();
      this.#step({ kind: 'ended', end });
      if (end.kind === 'refresh') continue;
      const denied = isDenied(end.reason) ? ({ denied: true } as const) : {};
      this.#deliver({ kind: 'disconnected', reason: source.explain(end.reason), ...denied });
      const silent = isSilence(end.reason);
      if (silent) this.#time.silent();
      this.#rotation.next(silent);
    }
  }

  /** One connection: a list if one is due, then a watch. Resolves with the end of either; never rejects. */
  async #connect(): Promise<StreamEnd> {
    const { access, source, keys, random } = this.#options;
    const { signal } = this.#closing;
    let client: MemberClient | undefined;
    // Ends a list that is being read when the follower is closed.
    const onAbort = () => client?.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      client = await openMember(nextMember(this.#rotation, await source.members()), access, this.#time.ms);
      const listedNow = this.#state.next === 'list';
      if (listedNow) await this.#list(client);
      const { delivered } = this.#state;
      if (delivered === undefined) throw new Error('a list was read, so there is a revision to watch from');
      return await watch({
        ...delivered,
        listedNow,
        client,
        keys,
        bytes: this.#bytes,
        time: this.#time,
        signal,
        refreshMs: refreshMs.least + random() * (refreshMs.most - refreshMs.least),
        onEvent: (event) => this.#deliver(event),
        onAdvanced: (cursor) => this.#step({ kind: 'advanced', cursor }),
        onCaughtUp: () => this.#step({ kind: 'caught-up' }),
      });
    } catch (error) {
      return { kind: 'restart', reason: describeFailure(failureOf(error)), stuck: false };
    } finally {
      signal.removeEventListener('abort', onAbort);
      client?.close();
    }
  }

  // A function of its own: a suspended function keeps its variables, and `connect` would keep the listing as long as the watch.
  async #list(client: MemberClient): Promise<void> {
    const { keys } = this.#options;
    const listing = await list(client, keys, this.#bytes, { pageMs: this.#time.ms });
    const { cluster, term, revision, entries, versions, newest } = listing;
    const history = historyBetween(this.#state.delivered, listing, this.#state.replaced);
    this.#deliver({ kind: 'snapshot', revision, cluster, history, entries });
    const delivered: Delivered = {
      cursor: { cluster, term, revision, fragments: [] },
      continuity: new Continuity(keys, versions),
      history: new KnownHistory(keys, newest.traces, newest.forgotten),
    };
    this.#step({ kind: 'listed', delivered });
  }

  #step(answer: FollowAnswer): void {
    this.#state = stepFollow(this.#state, answer);
  }

  #deliver(event: RegistryEvent): void {
    if (!this.#closing.signal.aborted) this.#options.onEvent(event);
  }
}

/** How a list relates to the events before it. `replaced`: why a watch found that the history is another one. */
function historyBetween(before: Delivered | undefined, listing: TreeListing, replaced: string | undefined): History {
  const history = historyOf(before?.cursor, listing);
  if (before === undefined || history.kind === 'replaced') return history;
  const reason = replaced ?? contradiction(before, listing);
  return reason === undefined ? history : { kind: 'replaced', reason };
}

/** Finds an entry that did not change since the delivered revision and differs from the delivered one: another history. */
function contradiction({ cursor, continuity }: Delivered, { entries, versions }: TreeListing): string | undefined {
  for (const { key, revision } of entries.values()) {
    if (revision <= cursor.revision && versions.get(key) !== continuity.version(key)) {
      return `etcd never sent the change of ${key} at revision ${revision}: data was restored`;
    }
  }
  return undefined;
}
