import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import { backoffMs } from '../waiting/backoff.ts';

/** The result of one attempt to apply the files. */
export type ApplyAttempt =
  /** Something is wrong with the files, or they contradict another set. Nothing was written. */
  | { readonly kind: 'refused'; readonly problems: readonly string[] }
  | {
      readonly kind: 'applied';
      readonly revision: string;
      /** `1 created, 12 unchanged`. */
      readonly counts: string;
      /** Whether something was written. */
      readonly changed: boolean;
      readonly balancers: readonly string[];
      /** What balancers do not serve, and why. */
      readonly unserved: readonly string[];
    };

export type KeepAppliedParts = {
  /** Changes with every change of the files. */
  readonly trace: () => Promise<string>;
  /** Rejects when the registry or a file cannot be read. */
  readonly attempt: (signal: AbortSignal) => Promise<ApplyAttempt>;
  readonly onStatus: (status: KeepStatus) => void;
  /** How often to compare the registry with the files although they did not change, in ms. */
  readonly intervalMs: number;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

/** The answer of `/status`. */
export type KeepStatus = {
  /** The newest state of the files is in the registry, and every live balancer serves it. */
  readonly ready: boolean;
  /** The revision that was applied last. */
  readonly revision: string | undefined;
  readonly appliedAt: string | undefined;
  /** Why the newest state of the files is not applied, or not served. */
  readonly problems: readonly string[];
};

/** How often to look at the files, in ms. */
const lookMs = 500;
/** A checkout writes its files one after the other. They count when they have not changed for this time, in ms. */
const quietMs = 2000;
const retry = { firstMs: 1000, mostMs: 30_000 };

/** Applies the files again and again, until `signal` aborts: after they changed, at an interval, and after a failure. */
export async function keepApplied(parts: KeepAppliedParts, signal: AbortSignal): Promise<void> {
  const { trace, intervalMs, now } = parts;
  const state = new KeptState(parts);
  let known = await trace();
  let changedAt = Number.NEGATIVE_INFINITY;
  let dueAt = now();
  let failures = 0;
  while (!signal.aborted) {
    const seen = await trace();
    if (seen !== known) {
      known = seen;
      changedAt = now();
      dueAt = changedAt + quietMs;
    }
    if (now() >= dueAt) {
      const isWell = await state.attempt(signal);
      failures = isWell ? 0 : failures + 1;
      dueAt = now() + (isWell ? intervalMs : Math.min(intervalMs, backoffMs(retry, failures)));
    }
    await pause(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

/** What the last attempt applied. Logs an attempt whose result differs from the one before. */
class KeptState {
  readonly #parts: KeepAppliedParts;
  #applied: Pick<KeepStatus, 'revision' | 'appliedAt'> = { revision: undefined, appliedAt: undefined };
  #told = '';

  constructor(parts: KeepAppliedParts) {
    this.#parts = parts;
  }

  /** Whether it may wait for the next change; otherwise it is to be tried again soon. */
  async attempt(signal: AbortSignal): Promise<boolean> {
    const { attempt, logger } = this.#parts;
    try {
      return this.#take(await attempt(signal));
    } catch (error) {
      if (signal.aborted) return true;
      const reason = describe(error);
      this.#tell([reason], () => logger.error({ event: 'apply-failed', reason }, `it is tried again: ${reason}`));
      return false;
    }
  }

  #take(result: ApplyAttempt): boolean {
    const { logger, wall } = this.#parts;
    if (result.kind === 'refused') {
      const { problems } = result;
      this.#tell(problems, () =>
        logger.error(
          { event: 'apply-refused', problems },
          `the registry stays as it is, because the files cannot be applied: ${problems[0] ?? ''}`,
        ),
      );
      return true;
    }
    const { revision, counts, changed, balancers, unserved } = result;
    this.#applied = { revision, appliedAt: wall().toISOString() };
    if (changed) logger.info({ event: 'applied', revision, counts, balancers }, `applied: ${counts}`);
    this.#tell(unserved, () => {
      if (unserved.length === 0) {
        if (!changed) logger.info({ event: 'applied', revision, counts, balancers }, `as the files say: ${counts}`);
        return;
      }
      logger.warn({ event: 'apply-unserved', revision, unserved }, `applied, and not served: ${unserved[0]}`);
    });
    return unserved.length === 0;
  }

  /** Tells the status, and logs it once as long as it stays the same. */
  #tell(problems: readonly string[], log: () => void): void {
    this.#parts.onStatus({ ready: problems.length === 0, ...this.#applied, problems });
    const told = problems.join('\n') || 'well';
    if (told === this.#told) return;
    this.#told = told;
    log();
  }
}
