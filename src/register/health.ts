import type { CheckRhythm } from '../model/health-check.ts';

/** The result of an application's checks until now. */
export type Health = {
  readonly verdict: 'unknown' | 'healthy' | 'unhealthy';
  /** Whether it was ever healthy. */
  readonly proven: boolean;
  /** Checks in a row that passed; 0 after one that failed. */
  readonly passed: number;
  /** Checks in a row that failed; 0 after one that passed. */
  readonly failed: number;
};

export const untested: Health = { verdict: 'unknown', proven: false, passed: 0, failed: 0 };

/** The health after one more check. */
export function nextHealth(
  health: Health,
  passes: boolean,
  { rise, fall }: Pick<CheckRhythm, 'rise' | 'fall'>,
): Health {
  if (passes) {
    const passed = health.passed + 1;
    const healthy = passed >= rise;
    return {
      verdict: healthy ? 'healthy' : health.verdict,
      proven: health.proven || healthy,
      passed,
      failed: 0,
    };
  }
  const failed = health.failed + 1;
  return { ...health, verdict: failed >= fall ? 'unhealthy' : health.verdict, passed: 0, failed };
}

const firstMs = 50;

/**
 * How long after the start of a check the next one begins, in ms. An application that still starts is asked more often, at
 * growing distances: every ms until it is announced is one in which it idles. `random` (0 to 1) keeps many from asking in step.
 */
export function nextCheckIn(health: Health, { intervalMs }: Pick<CheckRhythm, 'intervalMs'>, random: number): number {
  const jitter = 0.9 + 0.2 * random;
  if (health.proven) return intervalMs * jitter;
  return Math.min(intervalMs, firstMs * 1.3 ** (health.passed + health.failed)) * jitter;
}
