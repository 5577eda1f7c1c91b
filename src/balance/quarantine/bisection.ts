import type { Logger } from 'pino';
import { describe } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { Reloaded, Reloads } from '../reload/reloads.ts';
import { isStorageFault } from '../state/storage.ts';
import type { RefusedBuild } from './candidates.ts';
import type { Quarantining } from './quarantining.ts';

type BisectionParts = {
  readonly quarantining: Quarantining;
  readonly reloads: Reloads;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Aborted when pointsman is to end. */
  readonly signal?: AbortSignal | undefined;
  /** Told at the end, with whether somebody is held now. */
  readonly onEnd: (held: boolean) => void;
};

type Failed = Extract<Reloaded, { kind: 'refused' | 'failed' }>;

/** Finds those for whom HAProxy refused a configuration and has them held, while rounds go on. */
export class Bisection {
  readonly #parts: BisectionParts;
  #ongoing: Promise<void> | undefined;

  constructor(parts: BisectionParts) {
    this.#parts = parts;
  }

  /** Undefined while nobody is looked for, or tried again. */
  get ongoing(): Promise<void> | undefined {
    return this.#ongoing;
  }

  /** Finds who is behind a reload that failed. When there is nobody, what nobody can mend by waiting is refused as a whole. */
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
      .then((held) => {
        this.#ongoing = undefined;
        reloads.attributed();
        if (held === false && otherwise !== undefined) {
          if (mayPass) reloads.defer(otherwise, revision);
          else reloads.refuse(otherwise, revision);
        }
        onEnd(held === true);
      });
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

  /** Asks whether those that are held would be taken now. `onProbed` is told who is to be rendered anew. */
  probe(
    build: RefusedBuild,
    which: { readonly all: boolean },
    onProbed: (names: readonly ServiceName[], failure: unknown) => void,
  ): void {
    this.#ongoing = this.#parts.quarantining
      .probe(build, which)
      .then((names) => [names, undefined] as const)
      // A disk that fails is told already. They are asked about the next time.
      .catch((error: unknown) => [[], isStorageFault(error) ? undefined : error] as const)
      .then(([names, failure]) => {
        this.#ongoing = undefined;
        onProbed(names, failure);
      });
  }

  /** Has the metric say whether something is refused as a whole. */
  measure(): void {
    const { metrics, quarantining, reloads } = this.#parts;
    const whole = reloads.refused === undefined && quarantining.refusedTemplate === undefined;
    metrics.reloadFailed.set(whole && reloads.failed === undefined ? 0 : 1);
  }
}
