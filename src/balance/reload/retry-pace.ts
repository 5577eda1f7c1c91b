import { type Backoff, backoffMs } from '../../waiting/backoff.ts';

/** When the next attempt is due after a failure. */
type Retry = {
  /** Names the form that failed. The count begins again with another form. */
  readonly tried: string;
  /** The number of failures in a row. */
  readonly failures: number;
  /** Monotonic, in ms. */
  readonly dueAt: number;
};

/** By name, when the next attempt is due. A value. */
export type RetryPace = ReadonlyMap<string, Retry>;

export type PaceBounds = Omit<Backoff, 'jitter'>;

// Without it, names that failed together would be tried together each time.
const jitter = 0.2;
// Names that are due within this time are tried together.
const togetherMs = 500;

/** The pace after attempts at these failed. `tried` names the form of each. */
export function failedAgain(
  pace: RetryPace,
  failed: Iterable<readonly [name: string, tried: string]>,
  bounds: PaceBounds,
  { now, random }: { readonly now: number; readonly random: () => number },
): RetryPace {
  const next = new Map(pace);
  for (const [name, tried] of failed) {
    const before = pace.get(name);
    const failures = before?.tried === tried ? before.failures + 1 : 1;
    next.set(name, { tried, failures, dueAt: now + backoffMs({ ...bounds, jitter }, failures, random()) });
  }
  return next;
}

/** Without the names that are not among these. */
export function onlyThese(pace: RetryPace, held: ReadonlySet<string>): RetryPace {
  return new Map([...pace].filter(([name]) => held.has(name)));
}

/** The names whose next attempt is due. A name without a failure is due at once. */
export function dueNow<Name extends string>(pace: RetryPace, names: Iterable<Name>, now: number): ReadonlySet<Name> {
  return new Set([...names].filter((name) => (pace.get(name)?.dueAt ?? now) <= now + togetherMs));
}

/** Milliseconds until the first of these is due; undefined when there are none. */
export function nextDueMs(pace: RetryPace, names: Iterable<string>, now: number): number | undefined {
  let least: number | undefined;
  for (const name of names) {
    const ms = Math.max(0, (pace.get(name)?.dueAt ?? now) - now);
    least = least === undefined ? ms : Math.min(least, ms);
  }
  return least;
}
