import type { Logger } from 'pino';
import { noRevision, type Revision } from '../../model/revision.ts';
import type { BalanceMetrics } from './metrics.ts';

type Stage = 'wait' | 'render' | 'command';

/** One round of the loop: when it began, had rendered, and had HAProxy's answers; and what it did, a clause each. */
type Round = {
  readonly began: number;
  readonly rendered: number;
  readonly commanded: number;
  readonly what: readonly string[];
};

type ProgressParts = {
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

const mostNamed = 10;
// A registration that is put again, because etcd had lost it, is as old as it was.
const freshMs = 60_000;
const rounded = (ms: number): number => Math.round(ms * 100) / 100;

/** How far HAProxy serves what the registry said, and how long that took. */
export class Progress {
  readonly #parts: ProgressParts;
  #applied: Revision = noRevision;
  /** Instance and policy changes that were folded and not applied yet. */
  #unapplied = 0;
  /** When the oldest of them came in. */
  #oldest: number | undefined;
  /** When the oldest of them came in that no round has taken. */
  #untaken: number | undefined;
  /** When HAProxy took some of many changes. */
  #moved = Number.NEGATIVE_INFINITY;
  /** When the last round ended. */
  #ended = Number.NEGATIVE_INFINITY;
  /** Of the rounds since the oldest of them came in, in ms, none counted twice. The rest of the time is a reload. */
  readonly #stages = new Map<Stage, number>();
  #written: number[] = [];
  /** Each clause once: a reason for a reload stands in each round until the reload. */
  readonly #what = new Set<string>();
  #more = 0;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
  }

  /** The newest revision that HAProxy serves whole. */
  get applied(): Revision {
    return this.#applied;
  }

  /**
   * How long the oldest change that is not served has waited, in ms, or how long ago HAProxy took some of many changes; 0 when there
   * is none.
   */
  get waitingMs(): number {
    return this.#oldest === undefined ? 0 : this.#parts.now() - Math.max(this.#oldest, this.#moved);
  }

  /** So many changes came in; of these, the registrations among them were written then. */
  seen(changes: number, written: readonly number[]): void {
    this.#unapplied += changes;
    const now = this.#parts.now();
    this.#oldest ??= now;
    this.#untaken ??= now;
    this.#written.push(...written);
  }

  /** HAProxy took some of many changes. */
  moved(): void {
    this.#moved = this.#parts.now();
  }

  /** A round ended; what it began with is served, unless a reload is due. */
  round({ began, rendered, commanded, what }: Round): void {
    const { metrics } = this.#parts;
    const since = this.#untaken ?? began;
    // What came in during the round before this one waited for it to end.
    const waited = Math.max(0, began - Math.max(since, this.#ended));
    if (since <= began) this.#untaken = undefined;
    this.#ended = commanded;
    this.#add('wait', waited);
    this.#add('render', rendered - began);
    this.#add('command', commanded - rendered);
    metrics.stageSeconds.observe({ stage: 'wait' }, waited / 1000);
    metrics.stageSeconds.observe({ stage: 'render' }, (rendered - began) / 1000);
    metrics.stageSeconds.observe({ stage: 'command' }, (commanded - rendered) / 1000);
    for (const clause of what) {
      if (this.#what.size < mostNamed) this.#what.add(clause);
      else if (!this.#what.has(clause)) this.#more += 1;
    }
  }

  /** HAProxy serves everything up to this revision. */
  reached(revision: Revision): void {
    const { metrics, now, logger } = this.#parts;
    this.#applied = revision;
    metrics.revisionApplied.set(Number(revision));
    if (this.#oldest === undefined) return;
    const ms = now() - this.#oldest;
    metrics.changes.inc(this.#unapplied);
    metrics.applySeconds.observe(ms / 1000);
    const stages = Object.fromEntries([...this.#stages].map(([stage, took]) => [stage, rounded(took)]));
    const what = this.#more > 0 ? [...this.#what, `and ${this.#more} more`] : [...this.#what];
    const line = {
      event: 'applied',
      revision: String(revision),
      changes: this.#unapplied,
      ms: rounded(ms),
      stages,
      what,
    };
    logger.info(line, 'applied');
    this.#oldest = undefined;
    this.#unapplied = 0;
    const wall = this.#parts.wall().getTime();
    for (const at of this.#written) {
      if (Math.abs(wall - at) < freshMs) metrics.propagationSeconds.observe(Math.max(0, wall - at) / 1000);
    }
    this.#written = [];
    this.#stages.clear();
    this.#what.clear();
    this.#more = 0;
  }

  #add(stage: Stage, ms: number): void {
    this.#stages.set(stage, (this.#stages.get(stage) ?? 0) + ms);
  }
}
