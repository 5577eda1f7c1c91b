import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import type { Step } from '../../haproxy/step.ts';
import { closing, inTurns, leastSlice, nextSlice } from '../../haproxy/turns.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { Progress } from './progress.ts';
import type { Running } from './running.ts';

type SlicesParts = {
  readonly running: Pick<Running, 'execute' | 'served'>;
  readonly progress: Pick<Progress, 'onSlice'>;
  /** Whether something else is due, such as changes of other services. */
  readonly othersDue: () => boolean;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

type AppliedSteps = {
  readonly done: readonly Step[];
  /** The next round plans these again. */
  readonly left: readonly Step[];
  /** The steps that HAProxy refused need a reload. */
  readonly refused: readonly ReloadReason[];
};

/** Two: HAProxy works on one slice while pointsman reads the answers to the other. */
const mostSent = 2;
/** A round stops after this time in any case, in ms, so that the balancer can publish. Longer if plans take long. */
const mostRoundMs = 250;
/** Other tasks wait at most this long for a round whose plan took long, in ms. */
const mostLeastMs = 100;

/** Applies the steps of a plan in slices. Stops after a slice if another task is due, or after a time. */
export class Slices {
  readonly #parts: SlicesParts;
  #size = leastSlice;

  constructor(parts: SlicesParts) {
    this.#parts = parts;
  }

  /** The commands may take about as long as the plan took (`planningMs`). The next round plans the rest again. */
  async apply(steps: readonly Step[], desired: Rendered, planningMs: number): Promise<AppliedSteps> {
    const { running } = this.#parts;
    if (steps.length <= leastSlice) return { done: steps, left: [], refused: await running.execute(steps, desired) };
    const ordered = inTurns(steps, running.served.routes);
    const { count, refused } = await this.#applyOrdered(ordered, desired, planningMs);
    const done = ordered.slice(0, count);
    const { now, later } = closing(done, ordered.slice(count));
    const more = await running.execute(now, desired);
    if (later.length === 0) this.#size = leastSlice;
    return { done: [...done, ...now], left: later, refused: [...refused, ...more] };
  }

  async #applyOrdered(
    ordered: readonly Step[],
    desired: Rendered,
    planningMs: number,
  ): Promise<{ readonly count: number; readonly refused: readonly ReloadReason[] }> {
    const { running, progress, othersDue, now } = this.#parts;
    const began = now();
    const mostMs = Math.max(mostRoundMs, 4 * planningMs);
    const leastMs = Math.min(planningMs, mostLeastMs);
    const isTime = (ms: number) => ms >= leastMs && (ms >= mostMs || othersDue());
    const refused: ReloadReason[] = [];
    const sent: { readonly count: number; readonly answers: Promise<readonly ReloadReason[]> }[] = [];
    let count = 0;
    let stops = false;
    // The time of the first slice decides how many steps the next ones have.
    let most = 1;
    let answeredAt = began;
    try {
      for (;;) {
        while (sent.length < most && count < ordered.length && !stops) {
          const slice = ordered.slice(count, count + this.#size);
          sent.push({ count: slice.length, answers: running.execute(slice, desired) });
          count += slice.length;
        }
        const first = sent.shift();
        if (first === undefined) return { count, refused };
        refused.push(...(await first.answers));
        progress.onSlice();
        this.#size = nextSlice(first.count, now() - answeredAt);
        answeredAt = now();
        most = mostSent;
        stops ||= isTime(answeredAt - began);
      }
    } finally {
      await Promise.allSettled(sent.map(({ answers }) => answers));
    }
  }
}
