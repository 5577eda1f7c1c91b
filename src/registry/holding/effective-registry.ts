import type { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import type { Entry, HistoryPoint } from '../registry.ts';

import type { DeletionBound } from './mass-deletion.ts';

export type HoldingPolicy = {
  /** How long entries are held, in ms; undefined: until an operator releases them. */
  readonly holdMs: number | undefined;
  /** Undefined: a deletion is always taken as it is. */
  readonly deletions: DeletionBound | undefined;
  readonly mayHold: (entry: Entry) => boolean;
  /** The thing that an entry represents: a held entry ends when another entry for the same appears. Undefined: nothing. */
  readonly standsFor?: (entry: Entry) => string | undefined;
};

/** A moment: `now` is monotonic, `wall` the time of day; in ms. */
export type Moment = { readonly now: number; readonly wall: number };

/** The effective registry: its entries, and those that it does not have any more and that are held. A value. */
export type Holding = {
  readonly policy: HoldingPolicy;
  /** How far the registry was followed. */
  readonly known: HistoryPoint | undefined;
  readonly entries: PersistentMap<string, Entry>;
  /** The held ones among `entries`. */
  readonly held: PersistentMap<string, Entry>;
  /** The keys of held entries, by what they represent. */
  readonly standIns: PersistentMap<string, PersistentSet<string>>;
  /** How many entries each service consists of in the registry: without those that are held. */
  readonly sizes: PersistentMap<string, number>;
  /** Entries that were deleted within the window and not held, by key, with the time. */
  readonly recent: PersistentMap<string, { readonly entry: Entry; readonly at: number }>;
};
