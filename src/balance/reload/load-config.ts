import { mustSucceedBetween } from '../../haproxy/failed-addresses.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import { describeReason, type ReloadReason } from '../../haproxy/reload-reason.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { StateFiles } from '../state/state-files.ts';
import { isStorageFault } from '../state/storage.ts';
import type { CheckedConfig } from '../state/validation.ts';
import type { OldWorkers } from './old-workers.ts';
import type { ReloadMetrics } from './reload-metrics.ts';
import type { ServerStates } from './server-states.ts';

export type ConfigLoaderParts = LogAndClock & {
  readonly haproxy: Haproxy;
  readonly files: StateFiles;
  readonly states: ServerStates;
  readonly oldWorkers: Pick<OldWorkers, 'passOn'>;
  readonly link: Pick<RuntimeLink, 'version'>;
  readonly metrics: ReloadMetrics;
};

/** The worker that a reload made, with the state that it loaded. */
export type Loaded = { readonly workerPid: number | undefined; readonly loaded: Rendered };

export type Attempt = {
  /** The target of the reload with the changes that commands made since. */
  readonly newest: () => Rendered;
  readonly served: () => Rendered;
  /** Whether HAProxy runs, so that it can load a configuration. */
  readonly mayLoad: () => boolean;
};

/** Unless the configuration is loaded, the old worker serves and the old files are in place. */
export type LoadOutcome =
  | ({ readonly kind: 'reloaded' } & Loaded)
  | { readonly kind: 'refused'; readonly checked: Extract<CheckedConfig, { ok: false }> }
  | {
      readonly kind: 'failed';
      readonly error: unknown;
      /** HAProxy's check had accepted it. */
      readonly validated: boolean;
      /** Another reload loaded the served state again. */
      readonly restored?: Loaded | undefined;
    }
  /** The disk does not take the files (`fault`), or HAProxy ended. */
  | { readonly kind: 'postponed'; readonly fault?: Fault };

/** Has HAProxy validate and load a configuration, and restores the former files when it does not load it. */
export class ConfigLoader {
  readonly #parts: ConfigLoaderParts;
  /** In the last attempt HAProxy accepted the configuration, and was to load it from disk. */
  loading = false;

  constructor(parts: ConfigLoaderParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  async load(target: Rendered, reasons: readonly ReloadReason[], attempt: Attempt): Promise<LoadOutcome> {
    this.loading = false;
    try {
      return await this.#attempt(target, reasons, attempt);
    } catch (error) {
      if (isStorageFault(error)) return { kind: 'postponed', fault: error };
      return { kind: 'failed', error, validated: this.loading };
    }
  }

  async #attempt(
    target: Rendered,
    reasons: readonly ReloadReason[],
    { newest, served, mayLoad }: Attempt,
  ): Promise<LoadOutcome> {
    const { files, states, link, metrics, now } = this.#parts;
    const started = now();
    const checked = await files.check(target);
    if (!checked.ok) return { kind: 'refused', checked };
    // When HAProxy ended meanwhile, it is started again on the state that it served.
    if (!mayLoad()) return { kind: 'postponed' };
    const known = await states.read();
    this.loading = true;
    const loaded = newest();
    let workerPid: number | undefined;
    try {
      await states.hand(served(), loaded, known);
      const undo = await files.replace(loaded, loaded === target ? checked.config : files.config.format(loaded));
      try {
        workerPid = await this.#reload(undo);
      } catch (error) {
        const spoiled = isRefusal(error) && mustSucceedBetween(link.version) && mayLoad();
        const restored = spoiled ? await this.#restore(served(), known) : undefined;
        return { kind: 'failed', error, validated: true, restored };
      }
    } finally {
      states.settled();
    }
    states.loaded();
    await this.#report(reasons, target, started);
    metrics.reloadSeconds.observe((now() - started) / 1000);
    return { kind: 'reloaded', workerPid, loaded };
  }

  /** Has HAProxy load the served state again. Returns undefined when that fails, too. Never rejects. */
  async #restore(good: Rendered, known: RunningState['servers']): Promise<Loaded | undefined> {
    const { files, states, metrics, logger, now } = this.#parts;
    const started = now();
    try {
      await states.hand(good, good, known);
      const workerPid = await this.#reload(await files.replace(good, files.config.format(good)));
      await this.#report([{ kind: 'restore' }], good, started);
      return { workerPid, loaded: good };
    } catch (error) {
      // The former worker goes on serving. The next reload that succeeds has the same effect.
      metrics.reloads.inc({ result: 'failed' });
      const revision = String(good.revision);
      logger.error({ event: 'reload-failed', reason: describe(error), revision }, describe(error));
      return undefined;
    }
  }

  /** Has HAProxy load the files on disk. Returns its new worker. Restores the former files when HAProxy does not load them. */
  async #reload(undo: () => Promise<void>): Promise<number | undefined> {
    const { haproxy, oldWorkers } = this.#parts;
    try {
      const processes = await haproxy.reload();
      // Until then old workers may send requests to servers that the new worker does not use.
      await oldWorkers.passOn(processes);
      return processes.workerPid;
    } catch (error) {
      await undo();
      throw error;
    }
  }
  async #report(reasons: readonly ReloadReason[], { revision }: Rendered, started: number): Promise<void> {
    const { files, metrics, logger, now } = this.#parts;
    await files.reloaded();
    metrics.reloads.inc({ result: 'ok' });
    for (const { kind } of reasons) metrics.reloadReasons.inc({ reason: kind });
    const ms = Math.round(now() - started);
    const about = { revision: String(revision), ms, reasons: reasons.slice(0, 10).map(describeReason) };
    logger.info({ event: 'reloaded', ...about }, 'reloaded');
  }
}

/** Whether HAProxy itself refused the configuration. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof Fault && (error.code === 'config-check' || error.code === 'haproxy-refused');
