import type { Logger } from 'pino';
import { describe } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { ReloadMetrics } from '../reload/reload-metrics.ts';
import type { Reloaded, Reloads } from '../reload/reloads.ts';
import { isStorageFault } from '../state/storage.ts';
import type { RefusedBuild } from './candidates.ts';
import type { Quarantining } from './quarantining.ts';

type BisectionParts = {
  readonly quarantining: Quarantining;
  readonly reloads: Reloads;
  readonly metrics: Pick<ReloadMetrics, 'reloadFailed'>;
  readonly logger: Logger;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** `found`: offenders are in quarantine since. */
  readonly onEnd: (found: boolean) => void;
};

type Failed = Extract<Reloaded, { kind: 'refused' | 'failed' }>;

/** Has the offenders of a refused configuration found and put into quarantine, while rounds go on. */
export class Bisection {
  readonly #parts: BisectionParts;
  #ongoing: Promise<void> | undefined;

  constructor(parts: BisectionParts) {
    this.#parts = parts;
  }

  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }

  /** Finds the offenders of a reload that failed. Without any, a configuration that does not get better by waiting is refused. */
  begin(failed: Failed, build: RefusedBuild): void {
    const { quarantining, reloads, onEnd } = this.#parts;
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
        onEnd(found === true);
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

  /** Tries services in quarantine. `onProbed` gets the services that HAProxy accepts now; the caller renders them again. */
  probe(
    build: RefusedBuild,
    which: { readonly all: boolean },
    onProbed: (names: readonly ServiceName[], failure: unknown) => void,
  ): void {
    this.#ongoing = this.#parts.quarantining
      .probe(build, which)
      .then((names) => [names, undefined] as const)
      // A disk that fails is logged already, and the next probe tries these services.
      .catch((error: unknown) => [[], isStorageFault(error) ? undefined : error] as const)
      .then(([names, failure]) => {
        this.#ongoing = undefined;
        onProbed(names, failure);
      });
  }

  /** Sets the metric: whether HAProxy refuses a whole configuration or a template. */
  measure(): void {
    const { metrics, quarantining, reloads } = this.#parts;
    const accepted = reloads.refused === undefined && quarantining.refusedTemplate === undefined;
    metrics.reloadFailed.set(accepted && reloads.failed === undefined ? 0 : 1);
  }
}
