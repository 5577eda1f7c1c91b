import type { Logger } from 'pino';
import type { Haproxy } from '../haproxy/haproxy.ts';
import { describeReason, type ReloadReason } from '../haproxy/plan.ts';
import { Fault } from '../model/fault.ts';
import type { Rendered } from '../render/render.ts';
import type { BalanceMetrics } from './metrics.ts';
import type { CheckedConfig, StateFiles } from './state-files.ts';
import { isStorageFault } from './storage.ts';

export type ReloadsParts = {
  readonly haproxy: Haproxy;
  readonly files: StateFiles;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Reloads begin at least this far apart, in ms. */
  readonly intervalMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** What became of a reload. Unless it is done, the old worker and the old files are in place. */
export type Reloaded =
  | { readonly kind: 'reloaded'; readonly workerPid: number | undefined }
  /** HAProxy's own check refused it; somebody may be behind it. */
  | { readonly kind: 'refused'; readonly checked: Extract<CheckedConfig, { ok: false }> }
  /** HAProxy did not load what its own check had accepted, or could not be asked about. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly mayHelpToWait: boolean;
      /** How often in a row by now. */
      readonly failures: number;
    }
  /** The disk does not take the configuration, and without it on disk there is no reload. It is tried again. */
  | { readonly kind: 'postponed' };

/** How soon a disk that was full is tried again, in ms. */
const againAfterMs = 1000;

// HAProxy goes on serving meanwhile, and instances go on changing.
const retryMs = { first: 200, most: 30_000 };

/** Why a reload is needed, when it may begin, and how it is done: checked, written, loaded, and undone when it fails. */
export class Reloads {
  readonly #parts: ReloadsParts;
  readonly #reasons = new Map<string, ReloadReason>();
  #refused: string | undefined;
  #postponed: string | undefined;
  #next = 0;
  #failed: string | undefined;
  #failures = 0;

  constructor(parts: ReloadsParts) {
    this.#parts = parts;
  }

  need(reason: ReloadReason): void {
    this.#reasons.set(describeReason(reason), reason);
  }

  /** Whether a reload of this kind waits. */
  needs(kind: ReloadReason['kind']): boolean {
    return [...this.#reasons.values()].some((reason) => reason.kind === kind);
  }

  /** One clause for each reason that waits. */
  get pending(): readonly string[] {
    return [...this.#reasons.keys()];
  }

  /** Why the newest configuration was refused; undefined when it serves, or was not tried yet. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Why what waits for a reload has to wait, when it is not for its turn only. */
  get obstacle(): string | undefined {
    return this.#refused ?? this.#postponed ?? this.#failed;
  }

  /** Why HAProxy could not do the last one, although its check had accepted it. */
  get failed(): string | undefined {
    return this.#failed;
  }

  /** In how many ms the next one may begin; undefined while none is needed, or would be refused again. */
  get dueInMs(): number | undefined {
    if (this.#reasons.size === 0 || this.#refused !== undefined) return undefined;
    return Math.max(0, this.#next - this.#parts.now());
  }

  /** Nobody can be held for it: it is not tried again before something in it changed. */
  refuse(reason: string, revision: string): void {
    this.#refused = reason;
    this.#parts.logger.error({ event: 'config-refused', reason, revision }, reason);
  }

  /** What was refused has changed. */
  tryAgain(): void {
    this.#refused = undefined;
  }

  /** Forgets the reasons that planning anew finds again where they still stand. */
  planAnew(): void {
    this.#refused = undefined;
    this.#failed = undefined;
    this.#failures = 0;
    for (const [clause, { kind }] of this.#reasons) {
      if (kind !== 'start' && kind !== 'drift' && kind !== 'file') this.#reasons.delete(clause);
    }
  }

  async perform(target: Rendered): Promise<Reloaded> {
    try {
      const result = await this.#attempt(target);
      this.#postponed = undefined;
      return result;
    } catch (error) {
      if (!isStorageFault(error)) throw error;
      this.postpone(error);
      return { kind: 'postponed' };
    }
  }

  /** The disk does not take what a reload needs there. */
  postpone(fault: Fault): void {
    this.#postponed = fault.toString();
    this.#next = this.#parts.now() + Math.max(this.#parts.intervalMs, againAfterMs);
  }

  async #attempt(target: Rendered): Promise<Reloaded> {
    const { haproxy, files, metrics, logger, now } = this.#parts;
    const reasons = [...this.#reasons.values()];
    const started = now();
    this.#next = started + this.#parts.intervalMs;
    const revision = String(target.revision);
    const checked = await files.check(target);
    if (!checked.ok) {
      metrics.reloads.inc({ result: 'refused' });
      return { kind: 'refused', checked };
    }
    const undo = await files.replace(target, checked.config);
    let workerPid: number | undefined;
    try {
      workerPid = (await haproxy.reload()).workerPid;
    } catch (error) {
      await undo();
      if (!(error instanceof Fault)) throw error;
      const reason = error.toString();
      const mayHelpToWait = error.code !== 'config-check';
      if (!mayHelpToWait) {
        metrics.reloads.inc({ result: 'refused' });
        return { kind: 'failed', reason, mayHelpToWait, failures: this.#failures + 1 };
      }
      metrics.reloads.inc({ result: 'failed' });
      this.#failed = reason;
      this.#failures += 1;
      this.#next = now() + Math.min(retryMs.first * 2 ** (this.#failures - 1), retryMs.most);
      logger.error({ event: 'reload-failed', reason, revision, code: error.code }, reason);
      return { kind: 'failed', reason, mayHelpToWait, failures: this.#failures };
    }
    this.#failed = undefined;
    this.#failures = 0;
    await files.reloaded();
    this.#reasons.clear();
    metrics.reloads.inc({ result: 'ok' });
    for (const { kind } of reasons) metrics.reloadReasons.inc({ reason: kind });
    metrics.reloadSeconds.observe((now() - started) / 1000);
    const ms = Math.round(now() - started);
    logger.info({ event: 'reloaded', revision, ms, reasons: reasons.slice(0, 10).map(describeReason) }, 'reloaded');
    return { kind: 'reloaded', workerPid };
  }
}
