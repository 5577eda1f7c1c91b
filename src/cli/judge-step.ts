/** The requests of the version during a step, and how many of them failed. */
export type StepCount = { readonly requests: number; readonly failed: number };

/** What is known about a step when `shift` judges it. */
type WatchedStep = StepCount & {
  readonly elapsedMs: number;
  readonly stepMs: number;
  /** 0 to 1; undefined: no share of errors ends the shift. */
  readonly limit: number | undefined;
  /** Whether a step with too few requests passes. */
  readonly allowFew: boolean;
};

/**
 * `held`: the next step may begin. `errors`: too many requests failed. `few`: too few requests came to judge. `watch`: the step goes
 * on; `extend`: it goes on after its end, because too few requests came until now.
 */
export type Judgement = 'watch' | 'extend' | 'held' | 'errors' | 'few';

/** A share of fewer requests says little: one failure of three requests is a third. */
export const leastRequests = 20;
/** A step with too few requests lasts at most this many times its duration. */
export const mostTimes = 5;

/**
 * Judges a step. Requests that have not come yet count as good ones up to `leastRequests`, so failures that are over the limit even
 * then end the step at once.
 */
export function judgeStep({ requests, failed, elapsedMs, stepMs, limit, allowFew }: WatchedStep): Judgement {
  if (limit !== undefined && failed / Math.max(requests, leastRequests) > limit) return 'errors';
  if (elapsedMs < stepMs) return 'watch';
  if (limit === undefined || allowFew || requests >= leastRequests) return 'held';
  return elapsedMs < stepMs * mostTimes ? 'extend' : 'few';
}
