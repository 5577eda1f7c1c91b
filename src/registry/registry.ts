import { Fault } from '../model/fault.ts';
import { quote } from '../model/parsed.ts';
import type { Revision } from '../model/revision.ts';

/** A key as the registry holds it. Keys are relative to the root: `instances/web/web-1`. */
export type Entry = {
  readonly key: string;
  readonly value: string;
  /** The revision of its last change. */
  readonly revision: Revision;
  /** The revision at which the key was created; undefined if it was not changed since. */
  readonly created?: Revision;
  /** Whether it vanishes by itself when the one who wrote it goes silent. */
  readonly leased: boolean;
  /** Which lease it is under, where the adapter knows it. All keys of one lease end in one revision. */
  readonly lease?: string;
  /** Why its value was not kept; the value is then empty. */
  readonly rejected?: string;
  /** Set by holding/ on an entry that the registry does not have any more and that counts all the same. */
  readonly held?: Held;
};

/** The revision since which the key exists without a break. */
export const createdAt = ({ created, revision }: Pick<Entry, 'created' | 'revision'>): Revision => created ?? revision;

/** Why entries that the registry does not have any more are held. All entries that vanished together share one value. */
export type Held = {
  readonly kind: 'replaced' | 'deleted';
  readonly reason: string;
  /** When they vanished, by the wall clock, in ms. */
  readonly at: number;
  /** When they stop to be held, by this process's monotonic clock, in ms; undefined: when an operator releases them. */
  readonly until: number | undefined;
};

/** A range of keys in the order of their bytes: from `first` up to `end` and without it; to the end of the tree if there is none. */
export type KeyRange = { readonly first: string; readonly end?: string };

export const wholeTree: KeyRange = { first: '' };
/** All keys that begin with this, which ends with an ASCII character. */
export const keysFrom = (prefix: string): KeyRange => ({
  first: prefix,
  end: prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1),
});
/** The acknowledgements of the balancers. */
export const fleetKeys: KeyRange = { first: 'balancers/', end: 'balancers0' };
/**
 * All areas but `acme/` and `balancers/`, which are the first of them ("0" comes after "/"). For followers that do not need
 * acknowledgements: if 200 balancers received those of each other, one change of one instance would be 40,000 messages.
 */
export const catalogKeys: KeyRange = { first: 'balancers0' };

export const isWithin = ({ first, end }: KeyRange, key: string): boolean =>
  key >= first && (end === undefined || key < end);

export type Change =
  | { readonly kind: 'put'; readonly entry: Entry }
  | { readonly kind: 'delete'; readonly key: string; readonly revision: Revision };

/**
 * How a snapshot relates to what the follower delivered before it. `continued`: an entry that is missing was deleted.
 * `replaced`: the store was wiped, restored or exchanged, so an entry that is missing may never have been deleted by anyone.
 */
export type History =
  | { readonly kind: 'first' }
  | { readonly kind: 'continued' }
  | { readonly kind: 'replaced'; readonly reason: string };

/** The events of a follower: a snapshot first, then changes that continue it without a gap. */
export type RegistryEvent =
  /**
   * Everything in the range at one revision. Comes at the start and whenever the history between cannot be had (compaction,
   * another cluster, the slow safety re-read): whatever is not in it does not exist.
   */
  | {
      readonly kind: 'snapshot';
      readonly revision: Revision;
      /** Identifies the registry; revisions of different clusters cannot be compared. */
      readonly cluster: string;
      readonly history: History;
      readonly entries: ReadonlyMap<string, Entry>;
    }
  /** All changes of one or more whole revisions, in order; `revision` is the last of them. */
  | { readonly kind: 'changes'; readonly revision: Revision; readonly changes: readonly Change[] }
  /** Nothing in the range changed up to this revision. */
  | { readonly kind: 'progress'; readonly revision: Revision }
  | { readonly kind: 'connected'; readonly member: string }
  /**
   * The delivered entries stay valid, and become older until `connected`. Repeated with the latest reason. `denied`: the
   * registry answers, and its user has no right to read the range.
   */
  | { readonly kind: 'disconnected'; readonly reason: string; readonly denied?: true };

/** Looks at a value before it is read: why it is not to be kept, or undefined. `bytes`: its length. */
export type Reject = (key: string, bytes: number) => string | undefined;

/** Selects the part of each entry that a follower keeps, so that a list never needs memory for all that it reads. */
export type ReadFilter = {
  readonly reject: Reject;
  /** Removes the parts of an entry that are not needed. */
  readonly shorten: (entry: Entry) => Entry;
};

export interface Follower {
  /** No event is delivered once this is called. Resolves when every socket and timer is gone. */
  close(): Promise<void>;
}

export type SessionEvent =
  | { readonly kind: 'granted'; readonly lease: string }
  /** The registry had lost or changed a key of ours, and it was put again. */
  | { readonly kind: 'restored'; readonly key: string; readonly reason: string }
  /** Another process has put this key, so the session stops to keep it. */
  | { readonly kind: 'taken'; readonly key: string; readonly holder: string }
  | { readonly kind: 'unreachable'; readonly reason: string }
  | { readonly kind: 'reachable' };

export type SessionOptions = {
  /** How long our keys outlive our silence, in ms. */
  readonly ttlMs: number;
  /**
   * Whether a put may replace the value `holder`, which another live owner put or a person wrote. A session may always replace
   * its own keys.
   */
  readonly mayReplace: (key: string, holder: string) => boolean;
  readonly onEvent: (event: SessionEvent) => void;
};

/** The Fault for a put of a key that another owner has. */
export function ownedFault(key: string, holder: string): Fault {
  return new Fault('key-owned', `another owner holds this key with ${quote(holder)}`, {
    where: key,
    hint: 'stop the other one, wait until its lease runs out, or choose another id',
  });
}

/** Keys that live as long as this process does: one lease, kept alive, for any number of keys. */
export interface Session {
  /**
   * Puts the key and keeps it there. Resolves with the revision that made it visible; while the registry is unavailable it
   * tries again until `signal` aborts. Rejects with Fault `key-owned`, with the holder's value in the message, when
   * `mayReplace` returns false.
   */
  put(key: string, value: string, signal?: AbortSignal): Promise<Revision>;
  /** Deletes the key if it is ours. Resolves with the revision, or undefined when it was not there any more. */
  remove(key: string, signal?: AbortSignal): Promise<Revision | undefined>;
  /** Revokes the lease, so that all keys vanish at once; gives up when `signal` aborts (they then expire). Never rejects. */
  close(signal?: AbortSignal): Promise<void>;
}

/** All entries that were read at one revision. `cluster` as in a snapshot. */
export type Listing = {
  readonly revision: Revision;
  readonly cluster: string;
  readonly entries: readonly Entry[];
};

/** A write (a removal if `value` is undefined) of a key that was last changed at `since`; undefined: that is not there. */
export type GuardedChange = {
  readonly key: string;
  readonly value: string | undefined;
  readonly since: Revision | undefined;
};

/** Changes that are all made in one revision, or none of them. */
export type Transaction = {
  readonly changes: readonly GuardedChange[];
  /** Nothing in these ranges may have been written after the revision. A removal is not noticed. */
  readonly unwritten?: { readonly ranges: readonly KeyRange[]; readonly since: Revision };
};

export type TransactionResult =
  | { readonly kind: 'done'; readonly revision: Revision }
  /** Nothing was written: somebody else has changed these keys. */
  | { readonly kind: 'changed'; readonly keys: readonly string[] }
  /** Nothing was written: the registry takes only so many changes and ranges in one transaction. */
  | { readonly kind: 'too-many'; readonly operations: number };

/**
 * What a transaction may have, in either registry: etcd's limits `--max-txn-ops`, which counts changes and ranges, and
 * `--max-request-bytes` (1.5 MiB), with room for what is around the values.
 */
export const transactionLimits = { operations: 128, bytes: 1_200_000 } as const;

/** The bytes of a change as `transactionLimits` counts them. */
export const changeBytes = ({ key, value }: GuardedChange): number =>
  3 * Buffer.byteLength(key) + Buffer.byteLength(value ?? '') + 400;

/** The tree that everything is read from and announced in. Two adapters: etcd/ and directory/. */
export interface Registry {
  /** For messages: `etcd://127.0.0.1:2379/pointsman/`; no credentials. */
  readonly location: string;
  /** Whether keys are files, so that no key can have a value and other keys below it. */
  readonly keysAreFiles: boolean;
  /** Follows the tree under the root, or a range of it, until closed. Reconnects by itself, and reports it. */
  follow(onEvent: (event: RegistryEvent) => void, range?: KeyRange): Follower;
  /** Reads the keys that begin with `prefix`, linearizable. Rejects with a Fault. */
  read(prefix: string, signal?: AbortSignal): Promise<Listing>;
  /** Writes a key with no lease, or with a lease of its own that is not renewed. Rejects with a Fault. */
  write(key: string, value: string, options?: { ttlMs?: number; signal?: AbortSignal }): Promise<Revision>;
  /**
   * Writes a key with no lease, or removes it (`value` undefined), unless it was changed after this revision; with no revision,
   * unless it exists. Resolves with undefined when it was changed and nothing was written. Rejects with a Fault.
   */
  replace(
    key: string,
    value: string | undefined,
    since: Revision | undefined,
    signal?: AbortSignal,
  ): Promise<Revision | undefined>;
  /** Makes all changes in one revision, or none. All of their keys are different. Rejects with a Fault. */
  transact(transaction: Transaction, signal?: AbortSignal): Promise<TransactionResult>;
  /** Rejects with a Fault; resolves with undefined when the key was not there. */
  remove(key: string, signal?: AbortSignal): Promise<Revision | undefined>;
  openSession(options: SessionOptions): Session;
  /** Closes followers and sessions that are still open (without revoking leases), and every connection. */
  close(): Promise<void>;
}

/** A point in the history of a registry. */
export type HistoryPoint = {
  readonly cluster: string;
  readonly revision: Revision;
  /** raft's term, where there is one. A cluster that was restored begins with a low term again. */
  readonly term?: bigint;
};

/** How a snapshot at `now` relates to what was known before. */
export function historyOf(before: HistoryPoint | undefined, now: HistoryPoint): History {
  if (before === undefined) return { kind: 'first' };
  const replaced = (reason: string): History => ({ kind: 'replaced', reason });
  if (now.cluster !== before.cluster) return replaced('this is another cluster: its data was wiped or exchanged');
  if (now.revision < before.revision) {
    return replaced(`the revision went back from ${before.revision} to ${now.revision}: data was restored`);
  }
  if (now.term !== undefined && before.term !== undefined && now.term < before.term) {
    return replaced(`raft's term went back from ${before.term} to ${now.term}: data was restored`);
  }
  return { kind: 'continued' };
}
