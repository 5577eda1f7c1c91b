import type { MakeMetric } from '../../metrics/make-metric.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';

export const storageMetrics = ({ gauge }: MakeMetric) => ({
  storageFailed: gauge('storage_last_failed', '1 while pointsman cannot write its state to disk.'),
});

/** The parts of the state on disk. Each is written on its own. */
export type Stored = 'configuration' | 'catalog' | 'quarantine' | 'holds';

export type StorageParts = LogAndClock & {
  readonly metrics: ReturnType<typeof storageMetrics>;
};

/** The parts whose last write failed, with the reason. */
export type StorageStatus = readonly { readonly what: Stored; readonly reason: string; readonly sinceMs: number }[];

/** Knows which parts of the state are on disk. It logs each change of that, and not each attempt to write. */
export class Storage {
  readonly #parts: StorageParts;
  readonly #failing = new Map<Stored, { reason: string; readonly since: number }>();

  constructor(parts: StorageParts) {
    this.#parts = parts;
  }

  failed(what: Stored, error: unknown): void {
    const { metrics, logger, now } = this.#parts;
    const reason = describe(error);
    const known = this.#failing.get(what);
    if (known !== undefined) {
      known.reason = reason;
      return;
    }
    this.#failing.set(what, { reason, since: now() });
    metrics.storageFailed.set(1);
    const consequence = 'HAProxy keeps serving and instances keep changing; reloads wait; pointsman tries again';
    logger.error(
      { event: 'not-saved', what, reason },
      `pointsman cannot write the ${what} to disk: ${reason}; ${consequence}`,
    );
  }

  worked(what: Stored): void {
    const { metrics, logger, now } = this.#parts;
    const known = this.#failing.get(what);
    if (known === undefined) return;
    this.#failing.delete(what);
    if (this.#failing.size === 0) metrics.storageFailed.set(0);
    const seconds = Math.round((now() - known.since) / 1000);
    logger.info({ event: 'saved-again', what, seconds }, `the ${what} is on disk again`);
  }

  status(): StorageStatus {
    return [...this.#failing].map(([what, { reason, since }]) => ({
      what,
      reason,
      sinceMs: Math.round(this.#parts.now() - since),
    }));
  }
}

/** Whether the disk failed. Another attempt may succeed when the disk has room again. */
export function isStorageFault(error: unknown): error is Fault {
  return error instanceof Fault && error.code === 'storage';
}
