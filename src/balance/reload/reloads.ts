import type { Logger } from 'pino';
import { mustSucceedBetween } from '../../haproxy/failed-reload.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import { describeReason, type ReloadReason, servicesOf } from '../../haproxy/plan.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { StateFiles } from '../state/state-files.ts';
import { isStorageFault } from '../state/storage.ts';
import type { CheckedConfig } from '../state/validation.ts';
import type { PassingOn } from './passing-on.ts';
import type { ReloadPacing } from './reload-pacing.ts';
import { standingReasons } from './reload-reasons.ts';
import type { ServerStates } from './server-states.ts';
import { Sweep } from './sweep.ts';

export type ReloadsParts = {
  readonly haproxy: Haproxy;
  readonly files: StateFiles;
  readonly states: ServerStates;
  readonly passingOn: PassingOn;
  readonly pacing: ReloadPacing;
  readonly link: Pick<RuntimeLink, 'version'>;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Reloads begin at least this far apart, in ms. */
  readonly intervalMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
};

/** The worker that a reload made, with what it was loaded with. */
export type Loaded = { readonly workerPid: number | undefined; readonly loaded: Rendered };

/** What became of a reload. Unless it is done, the old worker and the old files are in place. */
export type Reloaded =
  | ({
      readonly kind: 'reloaded';
      /** Whose changes needed it. */
      readonly services: readonly ServiceName[];
    } & Loaded)
  /** HAProxy's own check refused it; somebody may be behind it. */
  | { readonly kind: 'refused'; readonly checked: Extract<CheckedConfig, { ok: false }> }
  /** HAProxy did not load what its own check had accepted, or could not be asked about. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      /** HAProxy itself refused it, so that something in it is to blame. */
      readonly refused: boolean;
      readonly mayHelpToWait: boolean;
      /** How often in a row by now. */
      readonly failures: number;
      /** By a reload on what was served before; undefined when there was none. */
      readonly restored?: Loaded | undefined;
    }
  /** The disk does not take the configuration, and without it on disk there is no reload. It is tried again. */
  | { readonly kind: 'postponed' };

/** How soon a disk that was full is tried again, in ms. */
const againAfterMs = 1000;

// HAProxy goes on serving meanwhile, and instances go on changing.
const retry = { firstMs: 200, mostMs: 30_000, jitter: 0.2 };

/** When those who wait are told that a reload takes long, in ms. */
export const slowMs = 2000;

/** What a reload is made of besides what HAProxy is checked with. */
type Attempt = {
  /** The same with what was changed by command since. */
  readonly newest: () => Rendered;
  /** What HAProxy serves now. */
  readonly served: () => Rendered;
  /** Whether HAProxy runs, so that it can be told to load something. */
  readonly mayLoad: () => boolean;
};

const slowReason = `HAProxy has been checking what needs a reload, or is asked whom it refuses, for more than ${slowMs / 1000} s`;

/** Why a reload is needed, when it may begin, and how it is done: checked, written, loaded, and undone when it fails. */
export class Reloads {
  readonly #parts: ReloadsParts;
  #reasons = new Map<string, ReloadReason>();
  readonly #sweep = new Sweep();
  /** Of the reload that is under way. */
  #begun: ReadonlyMap<string, ReloadReason> = new Map();
  #phase: 'none' | 'checking' | 'loading' = 'none';
  /** When the first attempt began at what waits now, while it neither served nor was given up. */
  #since: number | undefined;
  #refused: string | undefined;
  /** What needs a reload is another thing than what was tried last. */
  #changed = false;
  #postponed: string | undefined;
  #next = 0;
  #failed: string | undefined;
  #failures = 0;

  constructor(parts: ReloadsParts) {
    this.#parts = parts;
  }

  need(reason: ReloadReason): void {
    // A plan compares the whole frame and all routes, and all servers that left are counted: the reason stands for all before it.
    const { kind } = reason;
    if (kind === 'frame' || kind === 'many-routes' || kind === 'retired')
      for (const [clause, before] of this.#reasons) if (before.kind === kind) this.#reasons.delete(clause);
    this.#reasons.set(describeReason(reason), reason);
  }

  /**
   * Reloads are needed for what a round has planned. While none succeeds, services and servers may come and go without end, so reasons
   * that do not stand any more are left out.
   */
  planned(reasons: readonly ReloadReason[], desired: Rendered): void {
    if (reasons.length === 0) return;
    for (const reason of reasons) this.need(reason);
    this.#reasons = this.#sweep.bounded(this.#reasons, (all) => {
      const standing = standingReasons(all, desired);
      // These were needed just now.
      for (const reason of reasons) standing.set(describeReason(reason), reason);
      return standing;
    });
  }

  /** Whether a reload of this kind waits. */
  needs(kind: ReloadReason['kind']): boolean {
    return this.#allReasons.some((reason) => reason.kind === kind);
  }

  /** Those of the reload that was begun, and those that came since. */
  get #allReasons(): readonly ReloadReason[] {
    return [...this.#begun.values(), ...this.#reasons.values()];
  }

  /** The instances, as `service/instance`, of which open connections take requests to the former address until a reload. */
  get moving(): readonly string[] {
    return this.#allReasons.flatMap((reason) =>
      reason.kind === 'former-address' ? `${reason.backend}/${reason.server}` : [],
    );
  }

  /** One clause for each reason that waits. */
  get pending(): readonly string[] {
    return [...new Set([...this.#begun.keys(), ...this.#reasons.keys()])];
  }

  /** Why the newest configuration was refused; undefined when it serves, or was not tried yet. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Why what waits for a reload has to wait, when it is not for its turn only. */
  get obstacle(): string | undefined {
    return this.#refused ?? this.#postponed ?? this.#failed;
  }

  /** Why what waits for a reload has not got it yet, where that is no failure; undefined when it does not take long. */
  get slow(): string | undefined {
    return this.#since !== undefined && this.#parts.now() - this.#since >= slowMs ? slowReason : undefined;
  }

  /** Why the changes of some services wait for a reload, while these are all that wait. */
  get paced(): ReadonlyMap<ServiceName, string> {
    const reasons = [...this.#reasons.values()];
    const { pacing } = this.#parts;
    // Whoever comes along with a reload that others need does not wait.
    const alone = this.#phase === 'none' && pacing.waitMs(reasons) > 0;
    return pacing.waiting(alone ? reasons : []);
  }

  /** Whether a reload for this service's changes has to wait for its turn. */
  isPaced(service: ServiceName): boolean {
    return this.#parts.pacing.isWaiting(service);
  }

  /** Services whose routes wait for a reload because so many of them change. */
  get crowding(): ReadonlySet<ServiceName> {
    return new Set(this.#allReasons.flatMap((reason) => (reason.kind === 'many-routes' ? reason.services : [])));
  }

  /** Whether HAProxy was told to load what is on disk, and has not answered. */
  get loading(): boolean {
    return this.#phase === 'loading';
  }

  /** Why HAProxy could not do the last one, although its check had accepted it. */
  get failed(): string | undefined {
    return this.#failed;
  }

  /** In how many ms the next one may begin; undefined while none is needed, or would be refused again. */
  get dueInMs(): number | undefined {
    if (this.#reasons.size === 0 || this.#refused !== undefined || this.#phase !== 'none') return undefined;
    return Math.max(0, this.#next - this.#parts.now(), this.#parts.pacing.waitMs(this.#reasons.values()));
  }

  /** Nobody can be held for it: it is not tried again before something in it changed. */
  refuse(reason: string, revision: string): void {
    // Something else is asked for by now.
    if (this.#changed) return;
    this.#refused = reason;
    this.#parts.logger.error({ event: 'config-refused', reason, revision }, reason);
  }

  /** What was refused has changed. */
  tryAgain(): void {
    this.#refused = undefined;
    this.#changed = true;
  }

  /** Forgets the reasons that planning anew finds again where they still stand. */
  planAnew(): void {
    this.#refused = undefined;
    this.#failed = undefined;
    this.#failures = 0;
    this.#since = undefined;
    // The address itself was given by command, so a plan does not find this reason again.
    this.#forget((kind) => isPlanned(kind) && kind !== 'former-address');
  }

  #forget(isForgotten: (kind: ReloadReason['kind']) => boolean): void {
    for (const [clause, { kind }] of this.#reasons) if (isForgotten(kind)) this.#reasons.delete(clause);
  }

  /** Nobody is asked any more whom HAProxy refuses. */
  attributed(): void {
    this.#since = undefined;
  }

  /** Checks `target`, and has HAProxy load it with what was changed by command meanwhile. Never rejects. */
  async perform(target: Rendered, attempt: Attempt): Promise<Reloaded> {
    this.#begun = new Map(this.#reasons);
    this.#reasons.clear();
    this.#phase = 'checking';
    this.#changed = false;
    this.#since ??= this.#parts.now();
    const result = await this.#attempt(target, attempt).catch((error: unknown): Reloaded => {
      if (!isStorageFault(error)) return this.#fail(error, target);
      this.postpone(error);
      return { kind: 'postponed' };
    });
    const begun = this.#begun;
    this.#begun = new Map();
    this.#phase = 'none';
    // A check that refuses it takes as long.
    if (result.kind === 'reloaded' || result.kind === 'refused') this.#parts.pacing.spend(begun.values());
    if (result.kind !== 'postponed') this.#postponed = undefined;
    if (result.kind === 'reloaded') {
      this.#since = undefined;
      // What was planned against the former worker is planned anew.
      this.#forget(isPlanned);
    } else {
      const since = [...this.#reasons.values()];
      this.#reasons.clear();
      for (const reason of [...begun.values(), ...since]) this.need(reason);
    }
    return result;
  }

  /** The disk does not take what a reload needs there. */
  postpone(fault: Fault): void {
    this.#postponed = fault.toString();
    this.#next = this.#parts.now() + Math.max(this.#parts.intervalMs, againAfterMs);
  }

  async #attempt(target: Rendered, { newest, served, mayLoad }: Attempt): Promise<Reloaded> {
    const { files, states, metrics, now } = this.#parts;
    const started = now();
    this.#next = started + this.#parts.intervalMs;
    const checked = await files.check(target);
    if (!checked.ok) {
      metrics.reloads.inc({ result: 'refused' });
      return { kind: 'refused', checked };
    }
    // One that ended meanwhile is started again on what it served.
    if (!mayLoad()) return { kind: 'postponed' };
    const known = await states.read();
    this.#phase = 'loading';
    const loaded = newest();
    let workerPid: number | undefined;
    try {
      await states.hand(served(), loaded, known);
      const config = loaded === target ? checked.config : files.format(loaded);
      const undo = await files.replace(loaded, config);
      try {
        workerPid = await this.#load(undo);
      } catch (error) {
        const spoiled = isRefusal(error) && mustSucceedBetween(this.#parts.link.version) && mayLoad();
        const restored = spoiled ? await this.#restore(served(), known) : undefined;
        return this.#fail(error, target, restored);
      }
    } finally {
      states.settled();
    }
    states.loaded();
    this.#failed = undefined;
    this.#failures = 0;
    const reasons = [...this.#begun.values()];
    await this.#tell(reasons, target, started);
    metrics.reloadSeconds.observe((now() - started) / 1000);
    return { kind: 'reloaded', workerPid, loaded, services: [...new Set(reasons.flatMap(servicesOf))] };
  }

  /** Has HAProxy load again what it serves. Undefined when that fails too. Never rejects. */
  async #restore(good: Rendered, known: RunningState['servers']): Promise<Loaded | undefined> {
    const { files, states, metrics, logger, now } = this.#parts;
    const started = now();
    try {
      await states.hand(good, good, known);
      const workerPid = await this.#load(await files.replace(good, files.format(good)));
      await this.#tell([{ kind: 'restore' }], good, started);
      return { workerPid, loaded: good };
    } catch (error) {
      // The worker from before serves on. The next reload that succeeds does what this one was for.
      metrics.reloads.inc({ result: 'failed' });
      const revision = String(good.revision);
      logger.error({ event: 'reload-failed', reason: describe(error), revision }, describe(error));
      return undefined;
    }
  }

  /** Has HAProxy load what is on disk, and puts the former files back when it does not. Gives its new worker. */
  async #load(undo: () => Promise<void>): Promise<number | undefined> {
    const { haproxy, passingOn } = this.#parts;
    try {
      const processes = await haproxy.reload();
      // Until then requests may go where the new worker sends none.
      await passingOn.passOn(processes);
      return processes.workerPid;
    } catch (error) {
      await undo();
      throw error;
    }
  }

  /** Counts and logs a reload that succeeded. */
  async #tell(reasons: readonly ReloadReason[], { revision }: Rendered, started: number): Promise<void> {
    const { files, metrics, logger, now } = this.#parts;
    await files.reloaded();
    metrics.reloads.inc({ result: 'ok' });
    for (const { kind } of reasons) metrics.reloadReasons.inc({ reason: kind });
    const ms = Math.round(now() - started);
    const about = { revision: String(revision), ms, reasons: reasons.slice(0, 10).map(describeReason) };
    logger.info({ event: 'reloaded', ...about }, 'reloaded');
  }

  #fail(error: unknown, { revision }: Rendered, restored?: Loaded): Reloaded {
    const { metrics, logger, now, random = Math.random } = this.#parts;
    const reason = describe(error);
    const code = error instanceof Fault ? error.code : undefined;
    const refused = isRefusal(error);
    // Where nothing could check it before, the reload is the check.
    const mayHelpToWait = code !== 'config-check' || this.#phase === 'checking';
    if (!mayHelpToWait) {
      metrics.reloads.inc({ result: 'refused' });
      return { kind: 'failed', reason, refused, mayHelpToWait, failures: this.#failures + 1, restored };
    }
    metrics.reloads.inc({ result: 'failed' });
    this.#failed = reason;
    this.#failures += 1;
    this.#next = now() + backoffMs(retry, this.#failures, random());
    logger.error({ event: 'reload-failed', reason, revision: String(revision), code }, reason);
    return { kind: 'failed', reason, refused, mayHelpToWait, failures: this.#failures, restored };
  }

  /** It was refused for something that may be over by itself: it is tried again, ever more seldom. */
  defer(reason: string, revision: string): void {
    const { logger, now, random = Math.random } = this.#parts;
    this.#failed = reason;
    this.#failures += 1;
    this.#next = now() + backoffMs(retry, this.#failures, random());
    logger.error({ event: 'reload-failed', reason, revision, code: 'config-check' }, reason);
  }
}

const isPlanned = (kind: ReloadReason['kind']): boolean => kind !== 'start' && kind !== 'drift' && kind !== 'file';

const isRefusal = (error: unknown): boolean =>
  error instanceof Fault && (error.code === 'config-check' || error.code === 'haproxy-refused');

/** The worker that serves since this attempt; undefined when it is the same one as before. */
export function loadedBy(result: Reloaded): Loaded | undefined {
  if (result.kind === 'reloaded') return result;
  return result.kind === 'failed' ? result.restored : undefined;
}
