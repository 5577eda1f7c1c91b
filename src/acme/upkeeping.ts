import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { describe } from '../model/fault.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { NotWritten } from './leadership.ts';
import type { Upkeep } from './upkeep.ts';

export type UpkeepingParts = {
  readonly entries: Pick<LeaderEntries, 'replace'>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** Writes what `upkeepOf` finds, one turn at a time. */
export class Upkeeping {
  readonly #parts: UpkeepingParts;
  readonly #reasons = new OncePerReason();
  #running: Promise<void> | undefined;

  constructor(parts: UpkeepingParts) {
    this.#parts = parts;
  }

  /** Begins a turn, unless one is running: the next look finds the rest. */
  begin(upkeep: readonly Upkeep[]): void {
    if (upkeep.length === 0 || this.#running !== undefined) return;
    this.#running = this.#turn(upkeep).finally(() => {
      this.#running = undefined;
    });
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  async #turn(upkeep: readonly Upkeep[]): Promise<void> {
    const { entries, logger, signal } = this.#parts;
    try {
      for (const { key, value, since } of upkeep) {
        if (signal.aborted) return;
        await entries.replace(key, value, since);
      }
    } catch (error) {
      if (signal.aborted || error instanceof NotWritten) return;
      const reason = describe(error);
      if (!this.#reasons.isNew('*', reason)) return;
      logger.warn({ event: 'certificate-upkeep-failed', reason }, `entries of certificates are not kept up: ${reason}`);
    }
  }
}
