import { Map as PersistentMap } from 'immutable';
import { fairShare } from '../model/fair-share.ts';
import type { Entry } from '../registry/registry.ts';
import type { Caps, Ranking } from './ranking.ts';

/** The room that entries take, or would take. */
export type Use = { readonly bytes: number; readonly entries: number; readonly instances: number };

export const noUse: Use = { bytes: 0, entries: 0, instances: 0 };

export const sum = (a: Use, b: Use): Use => ({
  bytes: a.bytes + b.bytes,
  entries: a.entries + b.entries,
  instances: a.instances + b.instances,
});

/** The room of all services together, and the number of instances that each may have. */
export type Room = { readonly bytes: number; readonly entries: number; readonly instances: number };

/** An entry that is well formed and that a limit keeps out. */
export type WaitingEntry = { readonly entry: Entry; readonly bytes: number };

/** A service that gets less than it asks for. */
export type Cut = {
  /** All its entries, and how many of them, from the first, are taken. */
  readonly ranking: Ranking;
  readonly taken: number;
  /** The others, by their keys. */
  readonly waiting: PersistentMap<string, WaitingEntry>;
  readonly reason: string;
};

/**
 * The room that each service asks for, and that it gets. It depends only on the entries, not on the order in which they
 * came: all balancers take the same entries, and a restart changes nothing.
 */
export type Allocation = {
  /** The room that all well-formed entries take: those that are accepted and those that wait. */
  readonly total: Use;
  readonly asked: PersistentMap<string, Use>;
  readonly cuts: PersistentMap<string, Cut>;
};

export const noAllocation: Allocation = { total: noUse, asked: PersistentMap(), cuts: PersistentMap() };

/**
 * The most that any one service gets: its max-min fair share of the room. Whoever asks for less gets all of it, so no service is
 * refused anything for what another one asks for while it stays within its share.
 */
export function capsOf({ total, asked }: Pick<Allocation, 'total' | 'asked'>, room: Room): Caps {
  const share = (what: 'bytes' | 'entries') =>
    total[what] <= room[what]
      ? Number.POSITIVE_INFINITY
      : fairShare(
          asked.valueSeq().map((use) => use[what]),
          room[what],
        );
  return { bytes: share('bytes'), entries: share('entries'), instances: room.instances };
}

export const exceeds = (use: Use, caps: Caps): boolean =>
  use.bytes > caps.bytes || use.entries > caps.entries || use.instances > caps.instances;

/** Why this key waits; undefined when it does not. */
export function reasonToWait({ cuts }: Allocation, service: string, key: string): string | undefined {
  const cut = cuts.get(service);
  return cut?.waiting.has(key) === true ? cut.reason : undefined;
}
