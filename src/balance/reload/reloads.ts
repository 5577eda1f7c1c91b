import { describeReason, type ReloadReason, servicesOf } from '../../haproxy/reload-reason.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { ServiceName } from '../../model/name.ts';
import { Sweep } from '../../model/sweep.ts';
import type { Rendered } from '../../render/rendered.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import {
  type Attempt,
  ConfigLoader,
  type ConfigLoaderParts,
  isRefusal,
  type Loaded,
  type LoadOutcome,
} from './load-config.ts';
import type { ReloadPacing } from './reload-pacing.ts';
import { standingReasons } from './reload-reasons.ts';

export type ReloadsParts = ConfigLoaderParts & {
  readonly pacing: ReloadPacing;
  /** Reloads begin at least this far apart, in ms. */
  readonly intervalMs: number;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
  /** Aborted when pointsman ends. */
  readonly signal?: AbortSignal | undefined;
};

/** The result of a reload. Unless HAProxy reloaded, the old worker and the old files are in place. */
export type Reloaded =
  | Exclude<LoadOutcome, { kind: 'reloaded' | 'failed' }>
  | ({
      readonly kind: 'reloaded';
      /** The services whose changes needed the reload. */
      readonly services: readonly ServiceName[];
    } & Loaded)
  /** HAProxy did not load a configuration that its check had accepted, or could not be asked. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      /** HAProxy itself refused it, so that something in it is to blame. */
      readonly refused: boolean;
      readonly mayHelpToWait: boolean;
      /** The number of failures in a row. */
      readonly failures: number;
      /** Another reload loaded the served state again; undefined when there was none. */
      readonly restored?: Loaded | undefined;
    };

/** The pause before the next attempt after a failure of the disk, in ms. */
const againAfterMs = 1000;

// Meanwhile HAProxy serves, and commands change its instances.
const retry = { firstMs: 200, mostMs: 30_000, jitter: 0.2 };

/** A reload that takes longer is an obstacle that clients see, in ms. */
export const slowMs = 2000;

const slowReason = `HAProxy has been checking a new configuration for more than ${slowMs / 1000} s`;

/** Knows why a reload is needed and when it may begin, and makes one reload at a time. */
export class Reloads {
  readonly #parts: ReloadsParts;
  readonly #loader: ConfigLoader;
  /** The reasons that wait for a reload. The key is the reason as a clause. */
  #reasons = new Map<string, ReloadReason>();
  readonly #sweep = new Sweep();
  /** The reasons of the reload that is under way; undefined while there is none. */
  #begun: ReadonlyMap<string, ReloadReason> | undefined;
  /** When the first attempt at the changes that wait now began, until they serve or pointsman knows the offenders. */
  #since: number | undefined;
  #refused: string | undefined;
  /** The target changed since the last attempt began. */
  #changed = false;
  #postponed: string | undefined;
  #next = 0;
  #failed: string | undefined;
  #failures = 0;

  constructor(parts: ReloadsParts) {
    this.#parts = parts;
    this.#loader = new ConfigLoader(parts);
  }

  need(reason: ReloadReason): void {
    // A plan compares the whole frame and all routes, and counts all servers that left: such a reason replaces the earlier ones.
    const { kind } = reason;
    if (kind === 'frame' || kind === 'many-routes' || kind === 'retired')
      for (const [clause, before] of this.#reasons) if (before.kind === kind) this.#reasons.delete(clause);
    this.#reasons.set(describeReason(reason), reason);
  }

  /**
   * Adds the reasons of a plan. While no reload succeeds, services and servers may come and go without end, so reasons that are not
   * valid any more are left out.
   */
  planned(reasons: readonly ReloadReason[], desired: Rendered): void {
    if (reasons.length === 0) return;
    for (const reason of reasons) this.need(reason);
    this.#reasons = this.#sweep.bounded(this.#reasons, (all) => {
      const standing = standingReasons(all, desired);
      // The reasons of this plan are valid in any case.
      for (const reason of reasons) standing.set(describeReason(reason), reason);
      return standing;
    });
  }

  /** Whether a reload for a reason of this kind waits or is under way. */
  needs(kind: ReloadReason['kind']): boolean {
    return this.#allReasons.some((reason) => reason.kind === kind);
  }

  /** Whether the settings or a template for all services wait for a reload. */
  get needsForBase(): boolean {
    return this.#allReasons.some(({ kind, ...reason }) =>
      'services' in reason && kind === 'frame' ? reason.services.length === 0 : kind === 'start',
    );
  }

  get #allReasons(): readonly ReloadReason[] {
    return [...(this.#begun?.values() ?? []), ...this.#reasons.values()];
  }

  /** The instances, as `service/instance`, whose former address gets requests of open connections until a reload. */
  get moving(): readonly string[] {
    return this.#allReasons.flatMap((reason) =>
      reason.kind === 'former-address' ? `${reason.backend}/${reason.server}` : [],
    );
  }

  /** A clause for each reason that waits or that the reload under way is for. */
  get pending(): readonly string[] {
    return [...new Set([...(this.#begun?.keys() ?? []), ...this.#reasons.keys()])];
  }

  /** Why HAProxy refused the newest configuration; undefined when it serves or was not tried yet. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Why changes that need a reload have to wait; undefined when they wait for their turn only. */
  get obstacle(): string | undefined {
    return this.#refused ?? this.#postponed ?? this.#failed;
  }

  /** Why a reload has not happened yet although nothing failed; undefined when it does not take long. */
  get slow(): string | undefined {
    return this.#since !== undefined && this.#parts.now() - this.#since >= slowMs ? slowReason : undefined;
  }

  /** Why the changes of each service wait for its budget; empty when another change needs a reload without delay. */
  get paced(): ReadonlyMap<ServiceName, string> {
    const reasons = [...this.#reasons.values()];
    const { pacing } = this.#parts;
    // With a reload that another change needs they do not wait.
    const alone = this.#begun === undefined && pacing.waitMs(reasons) > 0;
    return pacing.waiting(alone ? reasons : []);
  }

  /** Services whose routes wait for a reload because so many of them change. */
  get crowding(): ReadonlySet<ServiceName> {
    return new Set(this.#allReasons.flatMap((reason) => (reason.kind === 'many-routes' ? reason.services : [])));
  }

  /** Whether HAProxy loads the files on disk and has not answered. */
  get loading(): boolean {
    return this.#begun !== undefined && this.#loader.loading;
  }

  /** Why the last reload failed although HAProxy's check had accepted the configuration. */
  get failed(): string | undefined {
    return this.#failed;
  }

  /** Milliseconds until the next reload may begin; undefined while none is needed, or HAProxy would refuse it again. */
  get dueInMs(): number | undefined {
    if (this.#reasons.size === 0 || this.#refused !== undefined || this.#begun !== undefined) return undefined;
    return Math.max(0, this.#next - this.#parts.now(), this.#parts.pacing.waitMs(this.#reasons.values()));
  }

  /** No offender was found: the configuration is not tried again until it changes. */
  refuse(reason: string, revision: string): void {
    // The newest configuration is another one.
    if (this.#changed) return;
    this.#refused = reason;
    this.#parts.logger.error({ event: 'config-refused', reason, revision }, reason);
  }

  /** The configuration that HAProxy refused has changed. */
  tryAgain(): void {
    this.#refused = undefined;
    this.#changed = true;
  }

  /** Forgets the reasons that the next plan finds again if they are still valid. */
  planAnew(): void {
    this.#refused = undefined;
    this.#failed = undefined;
    this.#failures = 0;
    this.#since = undefined;
    // HAProxy got the new address by command, so a plan does not find this reason again.
    this.#forget((kind) => isPlanned(kind) && kind !== 'former-address');
  }

  #forget(isForgotten: (kind: ReloadReason['kind']) => boolean): void {
    for (const [clause, { kind }] of this.#reasons) if (isForgotten(kind)) this.#reasons.delete(clause);
  }
  attributed(): void {
    this.#since = undefined;
  }

  /** Makes a reload: HAProxy validates `target`, and loads it with the changes that commands made meanwhile. Never rejects. */
  async perform(target: Rendered, attempt: Attempt): Promise<Reloaded> {
    const { pacing, now, intervalMs } = this.#parts;
    const begun = [...this.#reasons.values()];
    this.#begun = this.#reasons;
    this.#reasons = new Map();
    this.#changed = false;
    this.#since ??= now();
    this.#next = now() + intervalMs;
    const outcome = await this.#loader.load(target, begun, attempt);
    const result = this.#resultOf(outcome, begun, String(target.revision));
    this.#begun = undefined;
    // A check that ends in a refusal takes as much time.
    if (result.kind === 'reloaded' || result.kind === 'refused') pacing.spend(begun);
    if (result.kind !== 'postponed') this.#postponed = undefined;
    if (result.kind === 'reloaded') {
      this.#since = undefined;
      // The next plan is made against the new worker.
      this.#forget(isPlanned);
    } else {
      const since = [...this.#reasons.values()];
      this.#reasons.clear();
      for (const reason of [...begun, ...since]) this.need(reason);
    }
    return result;
  }

  #resultOf(outcome: LoadOutcome, begun: readonly ReloadReason[], revision: string): Reloaded {
    const { metrics } = this.#parts;
    switch (outcome.kind) {
      case 'reloaded':
        this.#failed = undefined;
        this.#failures = 0;
        return { ...outcome, services: [...new Set(begun.flatMap(servicesOf))] };
      case 'refused':
        metrics.reloads.inc({ result: 'refused' });
        return outcome;
      case 'postponed':
        if (outcome.fault !== undefined) this.postpone(outcome.fault);
        return outcome;
      case 'failed': {
        const { error, restored } = outcome;
        const code = error instanceof Fault ? error.code : undefined;
        const reason = describe(error);
        // HAProxy's check does not find every fault. Then the reload finds it.
        const mayHelpToWait = code !== 'config-check' || !outcome.validated;
        metrics.reloads.inc({ result: mayHelpToWait ? 'failed' : 'refused' });
        if (mayHelpToWait) this.#retryLater(reason, revision, code);
        const failures = mayHelpToWait ? this.#failures : this.#failures + 1;
        return { kind: 'failed', reason, refused: isRefusal(error), mayHelpToWait, failures, restored };
      }
    }
  }

  /** The disk does not take the files that a reload needs. */
  postpone(fault: Fault): void {
    this.#postponed = fault.toString();
    this.#next = this.#parts.now() + Math.max(this.#parts.intervalMs, againAfterMs);
  }

  /** HAProxy refused the configuration for a reason that may pass: it is tried again with backoff. */
  defer(reason: string, revision: string): void {
    this.#retryLater(reason, revision, 'config-check');
  }

  #retryLater(reason: string, revision: string, code: string | undefined): void {
    const { logger, now, random = Math.random, signal } = this.#parts;
    // The end of pointsman ended the check. Nothing failed.
    if (signal?.aborted) {
      logger.debug({ event: 'reload-ended', reason, revision }, reason);
      return;
    }
    this.#failed = reason;
    this.#failures += 1;
    this.#next = now() + backoffMs(retry, this.#failures, random());
    logger.error({ event: 'reload-failed', reason, revision, code }, reason);
  }
}

const isPlanned = (kind: ReloadReason['kind']): boolean => kind !== 'start' && kind !== 'drift' && kind !== 'file';

/** The worker that serves since this reload; undefined when the worker from before serves. */
export function loadedBy(result: Reloaded): Loaded | undefined {
  if (result.kind === 'reloaded') return result;
  return result.kind === 'failed' ? result.restored : undefined;
}
