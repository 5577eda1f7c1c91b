import type { Loop } from './loop.ts';
import type { Reconciler } from './reconciler.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';
import type { Timers } from './timers.ts';

type RemovingParts = {
  readonly running: Pick<Running, 'hasPendingRemovals' | 'removePending'>;
  readonly rendering: Pick<Rendering, 'desired'>;
  readonly reconciler: Pick<Reconciler, 'saveSoon'>;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

const delayMs = 500;

/** Tries twice a second to delete the servers and backends that left, until none is left. */
export class Removing {
  readonly #parts: RemovingParts;
  #due = false;

  constructor(parts: RemovingParts) {
    this.#parts = parts;
  }

  get due(): boolean {
    return this.#due;
  }

  /** Sets the timer for the next attempt, unless it is set. */
  arm(): void {
    const { running, timers, loop } = this.#parts;
    if (!running.hasPendingRemovals || timers.has('graveyard')) return;
    timers.arm('graveyard', delayMs, () => {
      this.#due = true;
      loop.wake();
    });
  }

  async run(): Promise<void> {
    const { running, rendering, reconciler } = this.#parts;
    this.#due = false;
    if (await running.removePending(rendering.desired)) reconciler.saveSoon();
    this.arm();
  }
}
