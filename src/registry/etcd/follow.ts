import { setTimeout as pause } from 'node:timers/promises';
import { historyOf } from '../history.ts';
import type { Follower, History, KeyRange, RegistryEvent } from '../registry.ts';
import { CallTime } from './call-time.ts';
import { Continuity } from './continuity.ts';
import { describeFailure, failureOf, isDenied, isSilence } from './failure.ts';
import type { KeySpace } from './key-space.ts';
import { KnownHistory } from './known-history.ts';
import { type EtcdAccess, type MemberClient, openMember } from './member-client.ts';
import type { MemberSource } from './member-source.ts';
import { waitBefore } from './members.ts';
import { nextMember, Rotation } from './rotation.ts';
import { list, type TreeListing, within } from './tree.ts';
import type { Cursor } from './watch-cursor.ts';
import { type StreamEnd, watch } from './watch-stream.ts';

export type FollowOptions = {
  readonly access: EtcdAccess;
  readonly source: MemberSource;
  readonly keys: KeySpace;
  readonly range: KeyRange;
  readonly random: () => number;
  readonly onEvent: (event: RegistryEvent) => void;
};

/** What was delivered, and what is needed to go on from there. */
type Known = {
  readonly cursor: Cursor;
  readonly continuity: Continuity;
  readonly history: KnownHistory;
  /** From a list on this very connection: nothing of it has to be proven. */
  readonly listedNow: boolean;
};

// A page of a list gets more time after each that took too long: when hundreds begin at once, the member that is asked is
// alive and busy, and lists that are given up half way and begun anew make it busier.
const mostPageMs = 16_000;
// Everything is read anew now and then, should a change have been missed in a way that nobody has thought of.
const refreshMs = { least: 300_000, most: 600_000 };
// Watches in a row that began and then told nothing although there was something to tell: after these it is listed instead.
const mostStuck = 2;

/** Follows the tree: a list, then a watch from its revision on, member after member, until closed. */
export function follow({ access, source, keys, range, random, onEvent }: FollowOptions): Follower {
  const closing = new AbortController();
  const { signal } = closing;
  const tell = (event: RegistryEvent) => {
    if (!signal.aborted) onEvent(event);
  };
  const rotation = new Rotation([], random);
  const time = new CallTime(mostPageMs);
  const bytes = within(keys, range);

  const run = async () => {
    let known: Known | undefined;
    /** The last that was known, when its history cannot be continued, and why if it is another one. */
    let former: Known | undefined;
    let replaced: string | undefined;
    let failures = 0;
    let stuck = 0;
    while (!signal.aborted) {
      const wait = waitBefore(failures, rotation.size, random);
      if (wait > 0) await pause(wait, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      let client: MemberClient | undefined;
      let end: StreamEnd;
      // Nobody who closes waits for a long list to be read.
      const onAbort = () => client?.close();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        client = await openMember(nextMember(rotation, await source.members()), access, time.ms);
        if (known === undefined) {
          known = await listAnew(client, former, replaced);
          replaced = undefined;
        }
        end = await watch({
          ...known,
          client,
          keys,
          bytes,
          time,
          signal,
          tell,
          refreshMs: refreshMs.least + random() * (refreshMs.most - refreshMs.least),
          onGood: (cursor) => {
            if (known !== undefined) known = { ...known, cursor };
            failures = 0;
          },
          onDelivered: () => {
            stuck = 0;
          },
        });
      } catch (error) {
        end = { kind: 'restart', reason: describeFailure(failureOf(error)), stuck: false };
      } finally {
        signal.removeEventListener('abort', onAbort);
        client?.close();
      }
      if (end.kind === 'restart' && end.stuck) stuck += 1;
      former = known ?? former;
      if (known !== undefined) known = { ...known, cursor: { ...known.cursor, fragments: [] }, listedNow: false };
      if (end.kind === 'relist' || end.kind === 'refresh' || stuck >= mostStuck) {
        known = undefined;
        stuck = 0;
      }
      if (end.kind === 'refresh') continue;
      if (end.kind === 'relist') replaced = end.replaced ?? replaced;
      const denied = isDenied(end.reason) ? ({ denied: true } as const) : {};
      tell({ kind: 'disconnected', reason: source.explain(end.reason), ...denied });
      const silent = isSilence(end.reason);
      failures += 1;
      if (silent) time.silent();
      rotation.next(silent);
    }
  };

  // Apart from `run`, which keeps all that it ever named: it would keep every entry of the list as long as the watch lasts.
  const listAnew = async (
    client: MemberClient,
    former: Known | undefined,
    replaced: string | undefined,
  ): Promise<Known> => {
    const listing = await list(client, keys, bytes, { pageMs: time.ms });
    const { cluster, revision, entries } = listing;
    tell({ kind: 'snapshot', revision, cluster, history: relation(former, listing, replaced), entries });
    return knownOf(listing);
  };

  const knownOf = ({ cluster, term, revision, versions, newest }: TreeListing): Known => ({
    cursor: { cluster, term, revision, fragments: [] },
    continuity: new Continuity(keys, versions),
    history: new KnownHistory(keys, newest.traces, newest.forgotten),
    listedNow: true,
  });

  const ended = run();
  return {
    close() {
      closing.abort();
      return ended;
    },
  };
}

/** How a list relates to what was known before it. `replaced`: what was noticed already. */
function relation(former: Known | undefined, listing: TreeListing, replaced: string | undefined): History {
  const history = historyOf(former?.cursor, listing);
  if (former === undefined || history.kind === 'replaced') return history;
  const reason = replaced ?? contradiction(former, listing);
  return reason === undefined ? history : { kind: 'replaced', reason };
}

/** An entry that was not changed since our revision and is not as we know it: it belongs to another history. */
function contradiction({ cursor, continuity }: Known, { entries, versions }: TreeListing): string | undefined {
  for (const { key, revision } of entries.values()) {
    if (revision <= cursor.revision && versions.get(key) !== continuity.version(key)) {
      return `the change of ${key} at revision ${revision} was never told: data was restored`;
    }
  }
  return undefined;
}
