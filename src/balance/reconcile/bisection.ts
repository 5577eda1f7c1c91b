import { describe } from '../../model/fault.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import type { ReloadMetrics } from '../reload/reload-metrics.ts';
import type { Reloaded, Reloads } from '../reload/reloads.ts';
import { isStorageFault } from '../state/storage.ts';
import type { BalancerParts } from './balancer-parts.ts';
import type { Intake } from './intake.ts';
import type { Loop, Timers } from './loop.ts';
import type { Reconciler } from './reconciler.ts';
import type { Rendering } from './rendering.ts';
import type { Running } from './running.ts';

type BisectionParts = Pick<BalancerParts, 'quarantining' | 'troubles' | 'logger' | 'signal'> & {
  readonly metrics: Pick<ReloadMetrics, 'reloadFailed'>;
  readonly reloads: Reloads;
  readonly intake: Intake;
  readonly rendering: Rendering;
  readonly running: Pick<Running, 'served'>;
  readonly reconciler: Pick<Reconciler, 'markAllDirty'>;
  readonly publish: () => void;
  readonly timers: Timers;
  readonly loop: Pick<Loop, 'wake'>;
};

type Failed = Extract<Reloaded, { kind: 'refused' | 'failed' }>;

/**
 * Has the offenders of a refused configuration found and put into quarantine, and has HAProxy validate from time to time the services,
 * instances and templates that are there. Rounds go on meanwhile.
 */
export class Bisection {
  readonly #parts: BisectionParts;
  #ongoing: Promise<void> | undefined;
  /** Which of the quarantine the next attempt tries. */
  #due: 'none' | 'due' | 'all' = 'none';

  constructor(parts: BisectionParts) {
    this.#parts = parts;
  }

  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }
  get retryDue(): boolean {
    return this.#due !== 'none';
  }

  /** Finds the offenders of a reload that failed. Without any, a configuration that does not get better by waiting is refused. */
  begin(failed: Failed, build: RefusedBuild): void {
    const { quarantining, reloads, publish, loop } = this.#parts;
    const [find, otherwise] =
      failed.kind === 'refused'
        ? [() => quarantining.bisect(failed.checked, build), failed.checked.reason]
        : [
            async () => quarantining.quarantineAfterReload(failed, build),
            failed.mayHelpToWait ? undefined : failed.reason,
          ];
    const revision = String(build.desired.revision);
    const mayPass = failed.kind === 'refused' && failed.checked.mayPass !== undefined;
    this.#ongoing = find()
      .catch((error: unknown) => this.#notFound(error))
      .then((found) => {
        this.#ongoing = undefined;
        reloads.attributed();
        if (found === false && otherwise !== undefined) {
          if (mayPass) reloads.defer(otherwise, revision);
          else reloads.refuse(otherwise, revision);
        }
        if (found === true) this.renderAll();
        this.measure();
        publish();
        loop.wake();
      });
  }

  #notFound(error: unknown): false | undefined {
    const { reloads, logger, signal } = this.#parts;
    // The validations ended with pointsman.
    if (signal?.aborted) return undefined;
    if (isStorageFault(error)) {
      reloads.postpone(error);
      return undefined;
    }
    logger.error({ event: 'not-isolated', reason: describe(error) }, describe(error));
    return false;
  }

  /** Has everything rendered and planned again, because the quarantine changed. */
  renderAll(): void {
    const { reloads, rendering, running, reconciler } = this.#parts;
    reloads.planAnew();
    rendering.onQuarantineChanged(running.served);
    reconciler.markAllDirty();
    this.armRetry();
  }

  /** A file changed that may be the reason for a refusal. The next turn of the loop tries all that are in quarantine. */
  retryAll(): void {
    const { services, instances, templates } = this.#parts.quarantining.state;
    if (services.size + instances.size + templates.size > 0) this.#due = 'all';
  }
  armRetry(): void {
    const { quarantining, timers, loop } = this.#parts;
    const ms = quarantining.nextRetryMs();
    if (ms === undefined) return;
    timers.arm('retry-quarantine', ms, () => {
      if (this.#due === 'none') this.#due = 'due';
      loop.wake();
    });
  }
  retry(): void {
    const { quarantining, troubles, intake, rendering, running, publish, loop } = this.#parts;
    const all = this.#due === 'all';
    this.#due = 'none';
    const build = rendering.build(rendering.requested(intake.catalog), running.served, false);
    this.#ongoing = quarantining
      .retry(build, { all })
      .then(
        (names) => {
          for (const name of names) intake.dirty.service(name);
          troubles.over('probe');
        },
        (error: unknown) => {
          // A disk that fails is logged already, and the next attempt tries these services.
          if (isStorageFault(error)) troubles.over('probe');
          else troubles.failed('probe', describe(error));
        },
      )
      .then(() => {
        this.#ongoing = undefined;
        this.armRetry();
        publish();
        loop.wake();
      });
  }

  /** Sets the metric: whether HAProxy refuses a whole configuration or a template. */
  measure(): void {
    const { metrics, quarantining, reloads } = this.#parts;
    const accepted = reloads.refused === undefined && quarantining.refusedTemplate === undefined;
    metrics.reloadFailed.set(accepted && reloads.failed === undefined ? 0 : 1);
  }
}
