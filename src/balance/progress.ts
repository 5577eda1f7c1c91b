import type { Logger } from 'pino';
import { noRevision, type Revision } from '../model/revision.ts';
import type { BalanceMetrics } from './metrics.ts';

/** How far HAProxy serves what the registry said, and how long that took. */
export class Progress {
  readonly #parts: { readonly metrics: BalanceMetrics; readonly logger: Logger; readonly now: () => number };
  #applied: Revision = noRevision;
  /** Instance and policy changes that were folded and not applied yet. */
  #unapplied = 0;
  /** When the oldest of them came in. */
  #oldest: number | undefined;

  constructor(parts: { readonly metrics: BalanceMetrics; readonly logger: Logger; readonly now: () => number }) {
    this.#parts = parts;
  }

  /** The newest revision that HAProxy serves whole. */
  get applied(): Revision {
    return this.#applied;
  }

  /** So many changes came in. */
  seen(changes: number): void {
    this.#unapplied += changes;
    this.#oldest ??= this.#parts.now();
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
    const took = Math.round(ms * 100) / 100;
    logger.info({ event: 'applied', revision: String(revision), changes: this.#unapplied, ms: took }, 'applied');
    this.#oldest = undefined;
    this.#unapplied = 0;
  }
}
