import { Map as PersistentMap, Set as PersistentSet } from 'immutable';
import { type HistoryPoint, historyOf } from '../history.ts';
import type { Change, Entry, Held, History, RegistryEvent } from '../registry.ts';
import { type Release, releasedBy } from '../releases.ts';
import { isPartOfService, serviceOf } from './areas.ts';
import { beyondBound, type DeletionBound, deletedByHand } from './mass-deletion.ts';

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

export type LetGoReason =
  | 'returned'
  | 'returned-under-another-id'
  | 'deleted'
  | 'check-failed'
  | 'override-ended'
  | 'released'
  | 'held-too-long';

/** What is different after a step, for the log. */
export type HoldingTransition =
  | { readonly kind: 'replaced'; readonly reason: string }
  | { readonly kind: 'held'; readonly because: Held; readonly entries: readonly Entry[] }
  | { readonly kind: 'let-go'; readonly reason: LetGoReason; readonly keys: readonly string[] };

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
  /** How many entries each service consists of. */
  readonly sizes: PersistentMap<string, number>;
  /** What was deleted within the window and let go, by key, with the time. */
  readonly recent: PersistentMap<string, { readonly entry: Entry; readonly at: number }>;
};

export type HoldingStep = {
  readonly holding: Holding;
  /** What is to be told on; undefined when nothing is. */
  readonly event: RegistryEvent | undefined;
  readonly transitions: readonly HoldingTransition[];
};

export function emptyHolding(policy: HoldingPolicy): Holding {
  const none = { entries: PersistentMap<string, Entry>(), held: PersistentMap<string, Entry>() };
  const counts = { standIns: PersistentMap<string, PersistentSet<string>>(), sizes: PersistentMap<string, number>() };
  return { policy, known: undefined, ...none, ...counts, recent: PersistentMap() };
}

/** Begins with what a process before this one knew, some of which it may have held. */
export function resumeHolding(
  policy: HoldingPolicy,
  known: HistoryPoint | undefined,
  entries: Iterable<Entry>,
): Holding {
  const making = new Making({ ...emptyHolding(policy), known });
  for (const entry of entries) making.put(entry);
  return making.result();
}

/**
 * Takes what the registry says, and gives what counts. After a snapshot of a history that was replaced, what is missing in it is
 * held; so is what was deleted at once beyond the bound. An entry is held until it is written again, until it is released,
 * or for `holdMs`.
 */
export function takeEvent(before: Holding, event: RegistryEvent, moment: Moment): HoldingStep {
  switch (event.kind) {
    case 'snapshot':
      return takeSnapshot(before, event, moment);
    case 'changes':
      return takeChanges(before, event, moment);
    case 'progress':
      return { holding: at(before, event.revision), event, transitions: [] };
    case 'connected':
    case 'disconnected':
      return { holding: before, event, transitions: [] };
  }
}

/** Lets go of what is held of one service, or of everything. */
export function releaseHeld(before: Holding, release: Release): HoldingStep {
  return letGo(before, released(before, release), 'released');
}

/** Lets go of those of these keys that are held. */
export function letGo(before: Holding, keys: Iterable<string>, reason: LetGoReason): HoldingStep {
  const gone = [...keys].filter((key) => before.held.has(key));
  const revision = before.known?.revision;
  if (gone.length === 0 || revision === undefined) return { holding: before, event: undefined, transitions: [] };
  const making = new Making(before);
  for (const key of gone) making.delete(key);
  const changes = gone.map((key): Change => ({ kind: 'delete', key, revision }));
  const transitions = [{ kind: 'let-go', reason, keys: gone } as const];
  return { holding: making.result(), event: { kind: 'changes', revision, changes }, transitions };
}

/** Lets go of those whose time is up. */
export function passTime(before: Holding, now: number): HoldingStep {
  const due = [...before.held.values()].filter(({ held }) => (held?.until ?? Number.POSITIVE_INFINITY) <= now);
  return letGo(
    before,
    due.map(({ key }) => key),
    'held-too-long',
  );
}

/** When the first of those that are held is to be let go of; undefined when none has a time. */
export function nextEnd({ held }: Holding): number | undefined {
  let next = Number.POSITIVE_INFINITY;
  for (const entry of held.values()) next = Math.min(next, entry.held?.until ?? next);
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

function takeSnapshot(
  before: Holding,
  event: Extract<RegistryEvent, { kind: 'snapshot' }>,
  moment: Moment,
): HoldingStep {
  // A process that begins asks what the one before it knew.
  const history: History = event.history.kind === 'first' ? historyOf(before.known, event) : event.history;
  const transitions: HoldingTransition[] = [];
  const making = new Making({ ...before, known: { cluster: event.cluster, revision: event.revision } });
  const missing: Entry[] = [];
  for (const entry of before.entries.values()) {
    if (event.entries.has(entry.key) || entry.held !== undefined) continue;
    making.delete(entry.key);
    if (before.policy.mayHold(entry)) missing.push(entry);
  }
  const returned: string[] = [];
  for (const entry of event.entries.values()) {
    const known = before.entries.get(entry.key);
    if (known?.held !== undefined) returned.push(entry.key);
    if (known?.held !== undefined || known?.revision !== entry.revision) making.put(entry);
  }
  if (returned.length > 0) transitions.push({ kind: 'let-go', reason: 'returned', keys: returned });
  if (history.kind === 'replaced') {
    transitions.push({ kind: 'replaced', reason: history.reason });
    if (missing.length > 0) transitions.push(making.hold(missing, 'replaced', history.reason, moment));
  } else {
    const step = making.bound(missing, moment);
    if (step !== undefined) transitions.push(step);
  }
  const elsewhere = making.giveWay(event.entries.values());
  if (elsewhere.length > 0) transitions.push({ kind: 'let-go', reason: 'returned-under-another-id', keys: elsewhere });
  const holding = making.result();
  return { holding, event: { ...event, history, entries: effective(event.entries, holding.held) }, transitions };
}

/** The snapshot's own map where nothing is held: it is as large as the registry. */
function effective(entries: ReadonlyMap<string, Entry>, held: Holding['held']): ReadonlyMap<string, Entry> {
  return held.isEmpty() ? entries : new Map([...entries, ...held]);
}

function takeChanges(before: Holding, event: Extract<RegistryEvent, { kind: 'changes' }>, moment: Moment): HoldingStep {
  const { revision } = event;
  const making = new Making(at(before, revision));
  const deleted = new Map<bigint, Entry[]>();
  const returned: string[] = [];
  const transitions: HoldingTransition[] = [];
  for (const change of event.changes) {
    const key = change.kind === 'put' ? change.entry.key : change.key;
    const known = making.get(key);
    if (change.kind === 'put') {
      if (known?.held !== undefined) returned.push(key);
      making.put(change.entry);
    } else if (known !== undefined) {
      making.delete(key);
      if (known.held !== undefined) transitions.push({ kind: 'let-go', reason: 'deleted', keys: [key] });
      else if (before.policy.mayHold(known)) {
        const group = deleted.get(change.revision) ?? [];
        group.push(known);
        deleted.set(change.revision, group);
      }
    }
  }
  if (returned.length > 0) transitions.push({ kind: 'let-go', reason: 'returned', keys: returned });
  const held = new Map<string, Entry>();
  for (const group of deleted.values()) {
    const step = making.bound(
      group.filter(({ key }) => making.get(key) === undefined),
      moment,
    );
    if (step === undefined) continue;
    transitions.push(step);
    for (const entry of step.entries) held.set(entry.key, entry);
  }
  const puts = event.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []));
  const elsewhere = making.giveWay(puts);
  if (elsewhere.length > 0) transitions.push({ kind: 'let-go', reason: 'returned-under-another-id', keys: elsewhere });
  const changes: Change[] = [
    ...event.changes.filter((change) => change.kind === 'put' || !held.has(change.key)),
    ...[...held.values()].map((entry): Change => ({ kind: 'put', entry })),
    ...elsewhere.map((key): Change => ({ kind: 'delete', key, revision })),
  ];
  let holding = making.result();
  for (const release of releasedBy(event)) {
    const step = letGo(holding, released(holding, release), 'released');
    holding = step.holding;
    transitions.push(...step.transitions);
    if (step.event?.kind === 'changes') changes.push(...step.event.changes);
  }
  if (changes.length === 0) return { holding, event: { kind: 'progress', revision }, transitions };
  return { holding, event: { kind: 'changes', revision, changes }, transitions };
}

const released = ({ held }: Holding, release: Release): readonly string[] =>
  [...held.keys()].filter((key) => release === '*' || serviceOf(key) === release);

function at(holding: Holding, revision: HistoryPoint['revision']): Holding {
  return holding.known === undefined ? holding : { ...holding, known: { ...holding.known, revision } };
}

/** One step while it is made. */
class Making {
  readonly #before: Holding;
  readonly #entries: Holding['entries'];
  readonly #held: Holding['held'];
  #standIns: Holding['standIns'];
  /** How many entries more each service has than before; the empty name, which no service has, stands for all of them. */
  readonly #growth = new Map<string, number>();
  #recent: Holding['recent'];

  constructor(before: Holding) {
    this.#before = before;
    this.#entries = before.entries.asMutable();
    this.#held = before.held.asMutable();
    this.#standIns = before.standIns;
    this.#recent = before.recent;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  put(entry: Entry): void {
    const { key } = entry;
    if (!this.#entries.has(key)) this.#count(key, 1);
    this.#entries.set(key, entry);
    this.#unhold(key);
    if (entry.held !== undefined) {
      this.#held.set(key, entry);
      const stands = this.#before.policy.standsFor?.(entry);
      if (stands !== undefined) {
        this.#standIns = this.#standIns.update(stands, PersistentSet(), (keys) => keys.add(key));
      }
    }
    this.#recent = this.#recent.delete(key);
  }

  delete(key: string): void {
    if (this.#entries.has(key)) this.#count(key, -1);
    this.#entries.delete(key);
    this.#unhold(key);
  }

  /** Removes those that are held and stand for the same as one of these entries that is new, and gives their keys. */
  giveWay(entries: Iterable<Entry>): readonly string[] {
    const gone: string[] = [];
    if (this.#standIns.isEmpty()) return gone;
    for (const { key } of entries) {
      // Of several changes of one key that came at once the last one counts.
      const entry = this.get(key);
      if (entry === undefined || entry.held !== undefined || this.#before.entries.has(key)) continue;
      const stands = this.#before.policy.standsFor?.(entry);
      for (const held of (stands === undefined ? undefined : this.#standIns.get(stands)) ?? []) {
        this.delete(held);
        gone.push(held);
      }
    }
    return gone;
  }

  hold(entries: readonly Entry[], kind: Held['kind'], reason: string, { now, wall }: Moment) {
    const { holdMs } = this.#before.policy;
    const because: Held = { kind, reason, at: wall, until: holdMs === undefined ? undefined : now + holdMs };
    const held = entries.map((entry): Entry => ({ ...entry, held: because }));
    for (const entry of held) this.put(entry);
    return { kind: 'held', because, entries: held } as const;
  }

  /** Holds what was deleted within the window if, with these of one revision, it is beyond the bound. */
  bound(ofOneRevision: readonly Entry[], moment: Moment): ReturnType<Making['hold']> | undefined {
    const { deletions } = this.#before.policy;
    if (deletions === undefined) return undefined;
    const byHand = deletedByHand(ofOneRevision);
    if (byHand.length === 0) return undefined;
    const { now } = moment;
    this.#recent = this.#recent
      .filter((one) => one.at + deletions.windowMs > now)
      .withMutations((all) => {
        for (const entry of byHand) all.set(entry.key, { entry, at: now });
      });
    const sizes = { all: this.#size(''), of: (service: string) => this.#size(service) };
    const recent = this.#recent.valueSeq().map(({ entry }) => entry);
    const beyond = beyondBound(recent, byHand, sizes, deletions);
    return beyond && this.hold(beyond.entries, 'deleted', beyond.reason, moment);
  }

  result(): Holding {
    return {
      ...this.#before,
      entries: this.#entries.asImmutable(),
      held: this.#held.asImmutable(),
      standIns: this.#standIns,
      sizes: this.#before.sizes.withMutations((sizes) => {
        for (const name of this.#growth.keys()) {
          const size = this.#size(name);
          if (size === 0) sizes.delete(name);
          else sizes.set(name, size);
        }
      }),
      recent: this.#recent,
    };
  }

  #unhold(key: string): void {
    const known = this.#held.get(key);
    if (known === undefined) return;
    this.#held.delete(key);
    const stands = this.#before.policy.standsFor?.(known);
    const others = stands === undefined ? undefined : this.#standIns.get(stands)?.delete(key);
    if (stands === undefined || others === undefined) return;
    this.#standIns = others.isEmpty() ? this.#standIns.delete(stands) : this.#standIns.set(stands, others);
  }

  #size(name: string): number {
    return (this.#before.sizes.get(name) ?? 0) + (this.#growth.get(name) ?? 0);
  }

  #count(key: string, difference: 1 | -1): void {
    const service = isPartOfService(key) ? serviceOf(key) : undefined;
    if (service === undefined) return;
    for (const name of [service, '']) this.#growth.set(name, (this.#growth.get(name) ?? 0) + difference);
  }
}
