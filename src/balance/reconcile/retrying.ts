import { describe } from '../../model/fault.ts';
import type { Troubles } from '../observe/troubles.ts';
import type { Bisection } from '../quarantine/bisection.ts';
import type { Quarantining } from '../quarantine/quarantining.ts';
import type { Reloads } from '../reload/reloads.ts';
import type { Intake } from './intake.ts';
import type { Loop } from './loop.ts';
import type { Publishing } from './publishing.ts';
import type { Reconciler } from './reconciler.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';
import type { Timers } from './timers.ts';

type RetryingParts = {
  readonly quarantining: Pick<Quarantining, 'nextProbeMs' | 'status'>;
  readonly bisection: Bisection;
  readonly reloads: Reloads;
  readonly troubles: Troubles;
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Pick<Running, 'served'>;
  readonly reconciler: Reconciler;
  readonly publishing: Publishing;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

/** Has HAProxy validate from time to time the services, instances and templates that are in quarantine. */
export class Retrying {
  readonly #parts: RetryingParts;
  #which: 'none' | 'due' | 'all' = 'none';

  constructor(parts: RetryingParts) {
    this.#parts = parts;
  }

  get due(): boolean {
    return this.#which !== 'none';
  }

  /** A file changed that may be the reason for a refusal. The next turn of the loop tries all that are in quarantine. */
  retryAll(): void {
    if (this.#parts.quarantining.status().length > 0) this.#which = 'all';
  }

  /** Sets the timer for the next attempt. */
  arm(): void {
    const { quarantining, timers, loop } = this.#parts;
    const ms = quarantining.nextProbeMs();
    if (ms === undefined) return;
    timers.arm('probe', ms, () => {
      if (this.#which === 'none') this.#which = 'due';
      loop.wake();
    });
  }

  /** Begins an attempt, which goes on next to the loop. */
  run(): void {
    const { bisection, troubles, intake, rendering, running, publishing, loop } = this.#parts;
    const all = this.#which === 'all';
    this.#which = 'none';
    const build = rendering.build(rendering.requested(intake.catalog), running.served, false);
    bisection.probe(build, { all }, (names, failure) => {
      for (const name of names) intake.dirty.service(name);
      if (failure === undefined) troubles.over('probe');
      else troubles.failed('probe', describe(failure));
      this.arm();
      publishing.publish();
      loop.wake();
    });
  }

  /** A bisection ended. `changed`: the quarantine has other services, instances or templates than before. */
  onBisected(changed: boolean): void {
    const { bisection, publishing, loop } = this.#parts;
    if (changed) this.renderAll();
    bisection.measure();
    publishing.publish();
    loop.wake();
  }

  /** Has everything rendered and planned again, because the quarantine changed. */
  renderAll(): void {
    const { reloads, rendering, running, reconciler } = this.#parts;
    reloads.planAnew();
    rendering.onQuarantineChanged(running.served);
    reconciler.markAllDirty();
    this.arm();
  }
}
