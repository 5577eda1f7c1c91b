import type { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import type { HistoryPoint } from '../history.ts';
import type { Entry } from '../registry.ts';
import type { DeletionBound } from './mass-deletion.ts';

export type HoldingPolicy = {
  /** How long entries are held; undefined: until somebody releases them. In ms. */
  readonly holdMs: number | undefined;
  /** Undefined: a deletion is always taken as it is. */
  readonly deletions: DeletionBound | undefined;
  readonly mayHold: (entry: Entry) => boolean;
  /** What an entry stands for: one that is held gives way to another one that stands for the same. Undefined: nothing. */
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
  /** Those of `entries` that are held. */
  readonly held: PersistentMap<string, Entry>;
  /** The keys of those that are held, by what they stand for. */
  readonly standIns: PersistentMap<string, PersistentSet<string>>;
  /** How many entries each service consists of in the registry: without those that are held. */
  readonly sizes: PersistentMap<string, number>;
  /** What was deleted within the window and let go, by key, with the time. */
  readonly recent: PersistentMap<string, { readonly entry: Entry; readonly at: number }>;
};
