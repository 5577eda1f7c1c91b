import { Map as PersistentMap, type Set as PersistentSet } from 'immutable';
import {
  type Change,
  type Entry,
  type Held,
  type History,
  type HistoryPoint,
  historyOf,
  type RegistryEvent,
} from '../registry.ts';
import { type Release, releasedBy } from '../releases.ts';
import { serviceOf } from './areas.ts';
import type { Holding, HoldingPolicy, Moment } from './effective-registry.ts';
import { Making } from './making.ts';
import { missedDeletions } from './mass-deletion.ts';

export type LetGoReason =
  | 'returned'
  | 'returned-under-another-id'
  | 'deleted'
  | 'check-failed'
  | 'override-ended'
  | 'released'
  | 'held-too-long';

/** The changes of a step, for the log. */
export type HoldingTransition =
  | { readonly kind: 'replaced'; readonly reason: string }
  | { readonly kind: 'held'; readonly because: Held; readonly entries: readonly Entry[] }
  | { readonly kind: 'let-go'; readonly reason: LetGoReason; readonly keys: readonly string[] };

export type HoldingStep = {
  readonly holding: Holding;
  /** The event to deliver; undefined when there is none. */
  readonly event: RegistryEvent | undefined;
  readonly transitions: readonly HoldingTransition[];
};

export function emptyHolding(policy: HoldingPolicy): Holding {
  const none = { entries: PersistentMap<string, Entry>(), held: PersistentMap<string, Entry>() };
  const counts = { standIns: PersistentMap<string, PersistentSet<string>>(), sizes: PersistentMap<string, number>() };
  return { policy, known: undefined, ...none, ...counts, recent: PersistentMap() };
}

/** Begins with the entries of an earlier process, some of which it may have held. */
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
 * Takes an event of the registry, and returns the effective registry. After a snapshot of a replaced history the missing
 * entries are held; so are entries that were deleted at once beyond the bound. An entry is held until it is written again,
 * until it is released, or for `holdMs`.
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
export function nextEnd({ held, policy }: Holding): number | undefined {
  if (policy.holdMs === undefined) return undefined;
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
    const step = making.bound(missedDeletions(missing), moment);
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
  const returned: string[] = [];
  const transitions: HoldingTransition[] = [];
  const held = new Set<string>();
  /** The deletions of one revision. */
  let deleted: Entry[] = [];
  // Evaluated at the end of each revision: a later write does not show whether a deletion took everything.
  const endRevision = () => {
    const step = making.bound(
      deleted.filter(({ key }) => making.get(key) === undefined),
      moment,
    );
    deleted = [];
    if (step === undefined) return;
    transitions.push(step);
    for (const { key } of step.entries) held.add(key);
  };
  let current: bigint | undefined;
  for (const change of event.changes) {
    if (current !== undefined && revisionOf(change) !== current) endRevision();
    current = revisionOf(change);
    const key = change.kind === 'put' ? change.entry.key : change.key;
    const known = making.get(key);
    if (change.kind === 'put') {
      if (known?.held !== undefined) returned.push(key);
      making.put(change.entry);
    } else if (known !== undefined) {
      making.delete(key);
      if (known.held !== undefined) transitions.push({ kind: 'let-go', reason: 'deleted', keys: [key] });
      else if (before.policy.mayHold(known)) deleted.push(known);
    }
  }
  endRevision();
  if (returned.length > 0) transitions.push({ kind: 'let-go', reason: 'returned', keys: returned });
  const puts = event.changes.flatMap((change) => (change.kind === 'put' ? [change.entry] : []));
  const elsewhere = making.giveWay(puts);
  if (elsewhere.length > 0) transitions.push({ kind: 'let-go', reason: 'returned-under-another-id', keys: elsewhere });
  const stillHeld = [...held].flatMap((key) => making.get(key) ?? []).filter((entry) => entry.held !== undefined);
  const kept = new Set(stillHeld.map(({ key }) => key));
  const changes: Change[] = [
    ...event.changes.filter((change) => change.kind === 'put' || !kept.has(change.key)),
    ...stillHeld.map((entry): Change => ({ kind: 'put', entry })),
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

const revisionOf = (change: Change): bigint => (change.kind === 'put' ? change.entry.revision : change.revision);

const released = ({ held }: Holding, release: Release): readonly string[] =>
  [...held.keys()].filter((key) => release === '*' || serviceOf(key) === release);

function at(holding: Holding, revision: HistoryPoint['revision']): Holding {
  return holding.known === undefined ? holding : { ...holding, known: { ...holding.known, revision } };
}
