import { noRevision, type Revision } from '../../model/revision.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

type Stage = 'wait' | 'render' | 'command';

/** When a round began, when it had rendered, when it had HAProxy's answers, and what it did, a clause each. */
type RoundTimes = {
  readonly began: number;
  readonly rendered: number;
  readonly commanded: number;
  readonly what: readonly string[];
};

type ProgressParts = LogAndClock & {
  readonly metrics: Pick<
    ReconcileMetrics,
    'revisionApplied' | 'changes' | 'applySeconds' | 'stageSeconds' | 'propagationSeconds'
  >;
  readonly wall: () => Date;
};

const mostNamed = 10;
// A registration that `register` writes again, because etcd lost it, has its former time.
const freshMs = 60_000;
const rounded = (ms: number): number => Math.round(ms * 100) / 100;

/** The newest revision that HAProxy serves, and how long changes took until HAProxy served them. */
export class Progress {
  readonly #parts: ProgressParts;
  #applied: Revision = noRevision;
  /** The number of changes of instances and policies that HAProxy does not serve yet. */
  #unapplied = 0;
  /** When the oldest of them arrived. */
  #oldest: number | undefined;
  /** When the oldest of them arrived that no round began with. */
  #unbegun: number | undefined;
  /** When HAProxy last accepted a slice of many changes. */
  #slice = Number.NEGATIVE_INFINITY;
  #ended = Number.NEGATIVE_INFINITY;
  /** The time of all rounds since the oldest change arrived, in ms. The rest of the time is a reload. */
  readonly #stages = new Map<Stage, number>();
  /** When registrations among the changes were written. */
  #written: number[] = [];
  /** Each clause once: every round names a reason for a reload again, until the reload. */
  readonly #what = new Set<string>();
  #more = 0;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
  }

  /** The newest revision of which HAProxy serves everything. */
  get applied(): Revision {
    return this.#applied;
  }

  /** How long the oldest unserved change has waited, in ms, or the time since the last slice of many changes; 0 when none waits. */
  get waitingMs(): number {
    return this.#oldest === undefined ? 0 : this.#parts.now() - Math.max(this.#oldest, this.#slice);
  }

  /** `written`: when the registrations among these changes were written. */
  onFolded(changes: number, written: readonly number[]): void {
    this.#unapplied += changes;
    const now = this.#parts.now();
    this.#oldest ??= now;
    this.#unbegun ??= now;
    this.#written.push(...written);
  }
  onSlice(): void {
    this.#slice = this.#parts.now();
  }

  /** A round ended. HAProxy serves the changes that it began with, unless a reload is due. */
  onRound({ began, rendered, commanded, what }: RoundTimes): void {
    const { metrics } = this.#parts;
    const since = this.#unbegun ?? began;
    // Changes that arrived during the last round waited for its end.
    const waited = Math.max(0, began - Math.max(since, this.#ended));
    if (since <= began) this.#unbegun = undefined;
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
  onApplied(revision: Revision): void {
    const { metrics, now, logger } = this.#parts;
    this.#applied = revision;
    metrics.revisionApplied.set(Number(revision));
    if (this.#oldest === undefined) return;
    const ms = now() - this.#oldest;
    metrics.changes.inc(this.#unapplied);
    metrics.applySeconds.observe(ms / 1000);
    const stages = Object.fromEntries([...this.#stages].map(([stage, ms]) => [stage, rounded(ms)]));
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
