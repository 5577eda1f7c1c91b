import { setTimeout as pause } from 'node:timers/promises';
import { describe } from '../model/fault.ts';
import type { CheckRhythm } from '../model/health-check.ts';
import { nextCheckIn, nextHealth, untested } from './health.ts';
import type { Check } from './next-desired.ts';
import { type CheckOutcome, fails, type Probe } from './outcome.ts';

export type HealthCheckerParts = {
  /** Called once, before the first check. */
  readonly openProbe: () => Promise<Probe>;
  readonly rhythm: CheckRhythm;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly onChecked: (check: Check) => void;
};

/** Checks an application again and again, one check at a time. */
export class HealthChecker {
  readonly #parts: HealthCheckerParts;
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;

  constructor(parts: HealthCheckerParts) {
    this.#parts = parts;
  }

  /** Resolves when it is closed; rejects when the probe cannot be opened. */
  open(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Ends the calls of `onChecked`. Resolves when the check that is under way is over. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { openProbe, rhythm, now, random, onChecked } = this.#parts;
    const { signal } = this.#closing;
    const probe = await openProbe();
    let health = untested;
    while (!signal.aborted) {
      const started = now();
      const { outcome, over } = await this.#check(probe);
      if (signal.aborted) return over;
      const before = health;
      health = nextHealth(before, outcome.passes, rhythm);
      onChecked({ before, health, outcome });
      await over;
      const wait = Math.max(0, nextCheckIn(health, rhythm, random()) - (now() - started));
      await pause(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  /** `outcome` comes within the time-out, also when the probe goes on; `over` resolves when the probe ends. */
  async #check(probe: Probe): Promise<{ readonly outcome: CheckOutcome; readonly over: Promise<void> }> {
    const { rhythm } = this.#parts;
    const cut = new AbortController();
    const stop = () => cut.abort();
    this.#closing.signal.addEventListener('abort', stop, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<CheckOutcome>((resolve) => {
      timer = setTimeout(() => {
        cut.abort();
        resolve(fails(`no answer within ${rhythm.timeoutMs} ms`));
      }, rhythm.timeoutMs);
    });
    const answer = probe(cut.signal).catch((error: unknown) => fails(describe(error)));
    const over = answer.then(() => {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener('abort', stop);
    });
    return { outcome: await Promise.race([answer, late]), over };
  }
}
