import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

/** The number of differences, and the first of them. */
type Drift = { readonly count: number; readonly differences: readonly string[] };
type Finding = Drift & { readonly at: number };

/** The last drift, and how often and when there was drift in the last quarter of an hour. pointsman repaired it each time. */
export type DriftStatus = Drift & { readonly times: number; readonly ageMs: number };

export type DriftLogParts = LogAndClock & {
  readonly metrics: Pick<ReconcileMetrics, 'drift'>;
};

// As long as the alert looks back.
const recentMs = 900_000;
const mostFindings = 1000;
const mostDifferences = 10;

/** Remembers drift for a while: pointsman repairs it at once, so HAProxy itself shows nothing of it later. */
export class DriftLog {
  readonly #parts: DriftLogParts;
  #findings: readonly Finding[] = [];

  constructor(parts: DriftLogParts) {
    this.#parts = parts;
  }

  found(differences: readonly string[]): void {
    const { metrics, logger, now } = this.#parts;
    const count = differences.length;
    const few = differences.slice(0, mostDifferences);
    metrics.drift.inc(count);
    logger.warn({ event: 'drift', count, differences: few }, 'HAProxy ran another configuration; pointsman repairs it');
    this.#findings = [...this.#recent(), { at: now(), count, differences: few }].slice(-mostFindings);
  }

  /** Undefined when there was no drift lately. */
  status(): DriftStatus | undefined {
    const recent = this.#recent();
    const last = recent.at(-1);
    if (last === undefined) return undefined;
    const { at, count, differences } = last;
    return { times: recent.length, ageMs: Math.round(this.#parts.now() - at), count, differences };
  }

  #recent(): readonly Finding[] {
    const since = this.#parts.now() - recentMs;
    return this.#findings.filter(({ at }) => at > since);
  }
}
