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

/** What became of a reload. When it failed, which is a rejection, the old worker and the old files are in place. */
export type Reloaded =
  | { readonly kind: 'reloaded'; readonly workerPid: number | undefined }
  | { readonly kind: 'refused' }
  /** The disk does not take the configuration, and without it on disk there is no reload. It is tried again. */
  | { readonly kind: 'postponed' };

/** How soon a disk that was full is tried again, in ms. */
const againAfterMs = 1000;

/** Why a reload is needed, when it may begin, and how it is done: checked, written, loaded, and undone when it fails. */
export class Reloads {
  readonly #parts: ReloadsParts;
  readonly #reasons = new Map<string, ReloadReason>();
  #refused: string | undefined;
  #postponed: string | undefined;
  #next = 0;

  constructor(parts: ReloadsParts) {
    this.#parts = parts;
  }

  need(reason: ReloadReason): void {
    this.#reasons.set(describeReason(reason), reason);
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
    return this.#refused ?? this.#postponed;
  }

  /** In how many ms the next one may begin; undefined while none is needed, or would be refused again. */
  get dueInMs(): number | undefined {
    if (this.#reasons.size === 0 || this.#refused !== undefined) return undefined;
    return Math.max(0, this.#next - this.#parts.now());
  }

  /** HAProxy refuses this one; it is not tried again before something in it changed. */
  refuse({ reason }: Extract<CheckedConfig, { ok: false }>): void {
    this.#refused = reason;
    this.#parts.metrics.reloadFailed.set(1);
  }

  /** What was refused has changed. */
  tryAgain(): void {
    this.#refused = undefined;
  }

  /** Rejects with a Fault when HAProxy did not load what its own check had accepted. */
  async perform(target: Rendered): Promise<Reloaded> {
    try {
      const result = await this.#attempt(target);
      this.#postponed = undefined;
      return result;
    } catch (error) {
      if (!isStorageFault(error)) throw error;
      this.#postponed = error.toString();
      this.#next = this.#parts.now() + Math.max(this.#parts.intervalMs, againAfterMs);
      return { kind: 'postponed' };
    }
  }

  async #attempt(target: Rendered): Promise<Reloaded> {
    const { haproxy, files, metrics, logger, now } = this.#parts;
    const reasons = [...this.#reasons.values()];
    const started = now();
    this.#next = started + this.#parts.intervalMs;
    const revision = String(target.revision);
    const checked = await files.check(target);
    const refused = (reason: string): Reloaded => {
      metrics.reloads.inc({ result: 'refused' });
      this.refuse({ ok: false, config: checked.config, reason });
      logger.error({ event: 'config-refused', reason, revision }, reason);
      return { kind: 'refused' };
    };
    if (!checked.ok) return refused(checked.reason);
    const undo = await files.replace(target, checked.config);
    let workerPid: number | undefined;
    try {
      workerPid = (await haproxy.reload()).workerPid;
    } catch (error) {
      await undo();
      if (error instanceof Fault && error.code === 'config-check') return refused(error.toString());
      metrics.reloads.inc({ result: 'failed' });
      metrics.reloadFailed.set(1);
      throw error;
    }
    await files.reloaded();
    this.#reasons.clear();
    metrics.reloadFailed.set(0);
    metrics.reloads.inc({ result: 'ok' });
    for (const { kind } of reasons) metrics.reloadReasons.inc({ reason: kind });
    metrics.reloadSeconds.observe((now() - started) / 1000);
    const ms = Math.round(now() - started);
    logger.info({ event: 'reloaded', revision, ms, why: reasons.slice(0, 10).map(describeReason) }, 'reloaded');
    return { kind: 'reloaded', workerPid };
  }
}
