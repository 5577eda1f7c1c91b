import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { ReconcileMetrics } from './reconcile-metrics.ts';

/** The drift of the last quarter of an hour. pointsman repaired it each time. */
export type DriftStatus = {
  readonly times: number;
  /** The time since the last drift. */
  readonly ageMs: number;
  /** The last drift: the number of differences, and the first of them. */
  readonly count: number;
  readonly differences: readonly string[];
};

export type DriftLogParts = LogAndClock & {
  readonly metrics: Pick<ReconcileMetrics, 'drift'>;
};

type Finding = { readonly at: number; readonly count: number; readonly differences: readonly string[] };

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
    logger.warn({ event: 'drift', count, differences: few }, 'HAProxy ran something else; healing');
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
