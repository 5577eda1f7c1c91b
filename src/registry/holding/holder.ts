import type { Logger } from 'pino';
import type { Entry, Held, HistoryPoint, RegistryEvent } from '../registry.ts';
import type { Release } from '../releases.ts';
import type { Holding, HoldingPolicy } from './effective-registry.ts';
import {
  emptyHolding,
  type HoldingStep,
  type HoldingTransition,
  type LetGoReason,
  letGo,
  nextEnd,
  passTime,
  releaseHeld,
  resumeHolding,
  takeEvent,
} from './holding.ts';

export type HolderParts = {
  readonly policy: HoldingPolicy;
  /** For the log: `the registry`, or a part of one. */
  readonly what: string;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
  /** Receives the registry's events, with the held entries in them. */
  readonly onEvent: (event: RegistryEvent) => void;
  /** Called after an event that changed which entries are held. */
  readonly onChange?: (held: Holding['held']) => void;
};

/** Entries that vanished together, for `/status` and the log. */
export type HeldStatus = {
  readonly kind: Held['kind'];
  readonly reason: string;
  readonly since: string;
  /** Undefined: until an operator releases them. */
  readonly endsInMs: number | undefined;
  readonly count: number;
  /** The first of them, in order. */
  readonly keys: readonly string[];
};

const mostListed = 20;
/** Why entries stop to be held without an operator. */
const expected: ReadonlySet<LetGoReason> = new Set([
  'returned',
  'returned-under-another-id',
  'deleted',
  'override-ended',
]);
// The longest time of setTimeout.
const longestTimerMs = 2 ** 31 - 1;

/** Sits between a registry and its follower: holds entries that would be lost when the history of the registry breaks. */
export class Holder {
  readonly #parts: HolderParts;
  #holding: Holding;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: HolderParts) {
    this.#parts = parts;
    this.#holding = emptyHolding(parts.policy);
  }

  get held(): Holding['held'] {
    return this.#holding.held;
  }

  /** All that counts, by key. */
  get entries(): Holding['entries'] {
    return this.#holding.entries;
  }

  /** Goes on from what the process before this one knew; to be called before the first event. */
  resume(known: HistoryPoint | undefined, entries: Iterable<Entry>): void {
    this.#holding = resumeHolding(this.#parts.policy, known, entries);
    this.#arm();
  }

  take(event: RegistryEvent): void {
    const { now, wall } = this.#parts;
    this.#step(takeEvent(this.#holding, event, { now: now(), wall: wall().getTime() }));
  }

  /** The event that would be delivered for this one, and the keys that would be held since. Changes nothing. */
  preview(event: RegistryEvent): { readonly event: RegistryEvent | undefined; readonly held: readonly string[] } {
    const { now, wall } = this.#parts;
    const step = takeEvent(this.#holding, event, { now: now(), wall: wall().getTime() });
    const held = step.transitions.flatMap((one) => (one.kind === 'held' ? one.entries.map(({ key }) => key) : []));
    return { event: step.event, held };
  }

  release(release: Release): void {
    this.#step(releaseHeld(this.#holding, release));
  }

  letGo(keys: Iterable<string>, reason: LetGoReason): void {
    this.#step(letGo(this.#holding, keys, reason));
  }

  status(): readonly HeldStatus[] {
    const groups = new Map<Held, string[]>();
    for (const { key, held } of this.held.values()) {
      if (held === undefined) continue;
      const keys = groups.get(held) ?? [];
      keys.push(key);
      groups.set(held, keys);
    }
    return [...groups].map(([{ kind, reason, at, until }, keys]) => ({
      kind,
      reason,
      since: new Date(at).toISOString(),
      endsInMs: until === undefined ? undefined : Math.max(0, Math.round(until - this.#parts.now())),
      count: keys.length,
      keys: keys.sort().slice(0, mostListed),
    }));
  }

  /** No event is delivered from now on. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #step({ holding, event, transitions }: HoldingStep): void {
    if (this.#closed) return;
    const before = this.#holding.held;
    this.#holding = holding;
    for (const transition of transitions) this.#tell(transition);
    if (event !== undefined) this.#parts.onEvent(event);
    if (before === holding.held) return;
    this.#parts.onChange?.(holding.held);
    // A timer for what is not held any more wakes for nothing; to look for the next end at each return would cost more.
    if (this.#timer === undefined || holding.held.size > before.size || holding.held.isEmpty()) this.#arm();
  }

  #tell(transition: HoldingTransition): void {
    const { logger, what } = this.#parts;
    switch (transition.kind) {
      case 'replaced': {
        const { reason } = transition;
        logger.error({ event: 'history-replaced', reason }, `the history of ${what} was replaced: ${reason}`);
        break;
      }
      case 'held': {
        const { because, entries } = transition;
        const [count, keys] = [entries.length, entries.map(({ key }) => key).sort()];
        const about = { event: 'entries-held', kind: because.kind, reason: because.reason, count };
        logger.error(
          { ...about, keys: keys.slice(0, mostListed) },
          `pointsman holds ${count} entries that ${what} no longer has; run pointsman release to release them`,
        );
        break;
      }
      case 'let-go': {
        const { reason, keys } = transition;
        logger[expected.has(reason) ? 'info' : 'warn'](
          { event: 'entries-let-go', reason, count: keys.length, keys: [...keys].sort().slice(0, mostListed) },
          `pointsman no longer holds ${keys.length} entries: ${reason}`,
        );
        break;
      }
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const end = nextEnd(this.#holding);
    if (end === undefined) return;
    const wait = Math.max(1, Math.ceil(end - this.#parts.now()));
    this.#timer = setTimeout(
      () => {
        this.#step(passTime(this.#holding, this.#parts.now()));
        this.#arm();
      },
      Math.min(wait, longestTimerMs),
    );
  }
}
