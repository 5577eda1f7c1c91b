import type { Reloads } from '../reload/reloads.ts';
import type { Bisection } from './bisection.ts';
import type { Loop } from './loop.ts';
import type { ProcessWatch } from './process-watch.ts';
import type { Reconciler } from './reconciler.ts';

type PublishingParts = {
  readonly reconciler: Pick<Reconciler, 'withdraw' | 'publish'>;
  readonly reloads: Pick<Reloads, 'obstacle' | 'slow'>;
  readonly bisection: Pick<Bisection, 'ongoing' | 'measure'>;
  readonly watch: Pick<ProcessWatch, 'mustInspect' | 'exited'>;
  readonly loop: Pick<Loop, 'turning' | 'wake'>;
};

/** Decides when the balancer announces which revision HAProxy serves. */
export class Publishing {
  readonly #parts: PublishingParts;
  #afterTurn = false;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  publish(): void {
    const { reconciler, reloads, bisection, watch } = this.#parts;
    if (watch.mustInspect || watch.exited) return;
    // Most bisections take a moment, and then HAProxy serves every change.
    if (bisection.ongoing !== undefined && reloads.obstacle === undefined && reloads.slow === undefined) return;
    reconciler.withdraw();
    if (reconciler.publish()) bisection.measure();
  }

  /** The catalog has an event more. `dirty`: a round has to follow, which publishes. */
  onFolded(dirty: boolean): void {
    const { loop } = this.#parts;
    const { turning } = loop;
    if (!dirty && turning === undefined) this.publish();
    // The last task of a turn may have published already.
    else if (!dirty && !this.#afterTurn) {
      this.#afterTurn = true;
      void turning?.finally(() => {
        this.#afterTurn = false;
        this.publish();
      });
    }
    loop.wake();
  }
}
