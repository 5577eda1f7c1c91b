import type { Logger } from 'pino';
import type { BalanceMetrics } from './metrics.ts';

/** That HAProxy was found to run something else than it was given, which was healed each time. */
export type DriftStatus = {
  /** How often, in the last quarter of an hour. */
  readonly times: number;
  /** How long ago the last time was. */
  readonly ageMs: number;
  /** What differed then: how much, and the first of it. */
  readonly count: number;
  readonly differences: readonly string[];
};

export type DriftLogParts = {
  readonly metrics: Pick<BalanceMetrics, 'drift'>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

type Finding = { readonly at: number; readonly count: number; readonly differences: readonly string[] };

// As long as the alert looks back.
const recentMs = 900_000;
const mostFindings = 1000;
const mostDifferences = 10;

/** Remembers for a while what differed: it is healed at once, so whoever looks afterwards would see nothing. */
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

  /** Undefined when there was none lately. */
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
