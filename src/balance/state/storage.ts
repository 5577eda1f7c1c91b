import type { Logger } from 'pino';
import { describe, Fault } from '../../model/fault.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

/** What is kept on disk, each written by itself. */
export type Stored = 'configuration' | 'catalog' | 'quarantine' | 'holds';

export type StorageParts = {
  readonly metrics: Pick<BalanceMetrics, 'storageFailed'>;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** What is not on disk as it should be, why, and since when. Empty when all is. */
export type StorageStatus = readonly { readonly what: Stored; readonly reason: string; readonly sinceMs: number }[];

/** Whether what should be on disk is. Said when that changes, and not at each attempt to write. */
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
    const consequence = 'HAProxy goes on serving, and instances go on changing; reloads wait; it is tried again';
    logger.error({ event: 'not-saved', what, reason }, `the ${what} is not on disk: ${reason}; ${consequence}`);
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

/** Whether it is the disk's fault, and may be over when there is room again. */
export function isStorageFault(error: unknown): error is Fault {
  return error instanceof Fault && error.code === 'storage';
}
