import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import type { BalanceMetrics } from './metrics.ts';
import type { Quarantining } from './quarantining.ts';
import type { Reloaded, Reloads } from './reloads.ts';
import { isStorageFault } from './storage.ts';
import type { Suspicion } from './suspicion.ts';

type IsolationParts = {
  readonly quarantining: Quarantining;
  readonly reloads: Reloads;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** Told at the end, with whether somebody is held now. */
  readonly onEnd: (held: boolean) => void;
};

// A machine that is short of memory for a moment is no fault of the template.
const frameFailures = 3;

type Failed = Extract<Reloaded, { kind: 'refused' | 'failed' }>;

/** Finds those for whom HAProxy refused a configuration and has them held, while rounds go on. */
export class Isolation {
  readonly #parts: IsolationParts;
  #ongoing: Promise<void> | undefined;

  constructor(parts: IsolationParts) {
    this.#parts = parts;
  }

  /** Undefined while nobody is looked for. */
  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }

  /** Finds who is behind a reload that failed. When there is nobody, what nobody can mend by waiting is refused as a whole. */
  begin(failed: Failed, suspicion: Suspicion): void {
    const { quarantining, reloads, onEnd } = this.#parts;
    const [find, otherwise] =
      failed.kind === 'refused'
        ? [() => quarantining.isolate(failed.checked, suspicion), failed.checked.reason]
        : [
            async () => quarantining.holdNamed(failed.reason, suspicion) || this.#holdFrame(failed, suspicion),
            failed.mayHelpToWait ? undefined : failed.reason,
          ];
    const revision = String(suspicion.desired.revision);
    this.#ongoing = find()
      .catch((error: unknown) => this.#notFound(error))
      .then((held) => {
        this.#ongoing = undefined;
        if (held === false && otherwise !== undefined) reloads.refuse(otherwise, revision);
        onEnd(held === true);
      });
  }

  /** A frame that changed, and with which reloads failed again and again, is held: everything else goes on. */
  #holdFrame({ reason, failures }: Extract<Failed, { kind: 'failed' }>, { asked, desired }: Suspicion): boolean {
    return failures >= frameFailures && this.#parts.quarantining.holdFrame(asked, desired, reason);
  }

  #notFound(error: unknown): false | undefined {
    const { reloads, logger, signal } = this.#parts;
    // Its checks were ended.
    if (signal?.aborted) return undefined;
    if (isStorageFault(error)) {
      reloads.postpone(error);
      return undefined;
    }
    logger.error({ event: 'not-isolated', reason: describe(error) }, describe(error));
    return false;
  }

  /** Whether those that are held would be taken now: gives those that are to be rendered anew. */
  async probe(suspicion: Suspicion): Promise<readonly ServiceName[]> {
    try {
      return await this.#parts.quarantining.probe(suspicion);
    } catch (error) {
      // Which is told already. They are asked about the next time.
      if (!isStorageFault(error)) throw error;
      return [];
    }
  }

  /** Has the metric say whether something is refused as a whole. */
  tell(): void {
    const { metrics, quarantining, reloads } = this.#parts;
    const whole = reloads.refused === undefined && quarantining.refusedTemplate === undefined;
    metrics.reloadFailed.set(whole && reloads.failed === undefined ? 0 : 1);
  }
}
