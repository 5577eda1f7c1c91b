import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { formatAddress } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import type { CheckRhythm } from '../model/health-check.ts';
import type { Instance } from '../model/instance.ts';
import type { Revision } from '../model/revision.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { Announcement } from './announcement.ts';
import { Applier } from './applier.ts';
import { type CheckTarget, formatTarget } from './check-target.ts';
import type { Departure } from './departure.ts';
import { HealthChecker } from './health-checker.ts';
import { type Check, type DesiredState, nextDesired, type WhenUnhealthy } from './next-desired.ts';
import type { Probe } from './outcome.ts';
import { type RegistrationState, stateOf } from './registration-state.ts';
import type { SharedLease } from './shared-lease.ts';

/** An instance to be announced, with nothing left open. */
export type Declared = {
  readonly instance: Instance;
  /** How it is checked; without, it counts as healthy. */
  readonly check: CheckTarget | undefined;
  readonly rhythm: CheckRhythm;
  readonly unhealthy: WhenUnhealthy;
};

export type RegistrationParts = {
  readonly lease: SharedLease;
  readonly declared: Declared;
  readonly logger: Logger;
  /** ms since this process started, monotonic. */
  readonly now: () => number;
  readonly random: () => number;
  readonly openProbe: (target: CheckTarget) => Probe;
  /** See AnnouncementParts. */
  readonly whenOwned: 'refuse' | 'wait';
  /** Another process owns its key, and it is not tried again. */
  readonly onRefused: (fault: unknown) => void;
  /** For those that may retire: what they wait for, and when they are gone. */
  readonly departure?: () => Departure;
  readonly onGone?: () => void;
  /** The registry has it, or the new form of it. */
  readonly onAnnounced?: () => void;
};

type Desired = { readonly state: DesiredState; readonly instance: Instance };

/** How long the registry may take to confirm a drain, in ms. After that the application does not wait for it. */
export const confirmMs = 5000;
/** How long it may take to confirm the removal, when no requests come any more. A key that is not removed expires with its lease. */
const removeMs = 2000;
/**
 * Added to both for each instance that leaves at the same time, in ms, because their writes go one after the other. If a drain were given
 * up before its turn, the lease would end without a drain, and the guard of the balancers would count a loss.
 */
export const turnMs = 3;
/** How often the log repeats why an instance is not announced, in ms. */
const remindMs = 60_000;

/** Keeps one instance in the registry as its health allows. */
export class Registration {
  /** `service/id`. */
  readonly name: string;
  readonly #parts: RegistrationParts;
  readonly #announcement: Announcement;
  readonly #applier: Applier<Desired>;
  #declared: Declared;
  #checker: HealthChecker | undefined;
  readonly #refusals: OncePerReason;
  #waiting = { reason: '', at: Number.NEGATIVE_INFINITY };
  #refusal: string | undefined;

  constructor(parts: RegistrationParts) {
    const { lease, declared, logger, now, random, whenOwned } = parts;
    const { instance } = declared;
    this.name = `${instance.service}/${instance.id}`;
    this.#parts = parts;
    this.#declared = declared;
    this.#refusals = new OncePerReason({ remindMs, now });
    this.#announcement = new Announcement({
      lease,
      instance,
      logger,
      now,
      random,
      whenOwned,
      onTaken: () => this.#onTaken(),
    });
    this.#applier = new Applier<Desired>({
      initial: { state: 'withdrawn', instance },
      apply: (desired, signal) => this.#apply(desired, signal),
      onFailed: (error) => this.#onFailed(error),
      random,
    });
  }

  begin(): void {
    this.#applier.begin();
    this.#watch();
  }

  /** For metrics and readiness. */
  get state(): RegistrationState {
    const { desired, isApplied } = this.#applier;
    const { otherOwner } = this.#announcement;
    const unhealthy = this.#waiting.reason || undefined;
    const facts = { desired: desired.state, applied: isApplied, refusal: this.#refusal, otherOwner, unhealthy };
    return { name: this.name, service: desired.instance.service, ...stateOf(facts) };
  }

  /**
   * The same for an instance that only leaves: a former process with its address may have announced it, and nothing is known of that yet.
   * `update` announces it.
   */
  beginAfterFormer(): void {
    this.#announcement.expectFormer();
    this.#applier.begin();
  }

  /**
   * Another form of the same instance, or the same after it retired. A new address must first be healthy; until then the old
   * form stays.
   */
  update(declared: Declared): void {
    const before = this.#declared;
    this.#declared = declared;
    const { state } = this.#applier.desired;
    const leaves = state === 'gone' || state === 'dropped';
    // Without a check of its own, nothing but this call ends a pause.
    if (!leaves && declared.check !== undefined && sameCheck(before, declared)) this.#setDesired(state);
    else this.#watch();
  }

  /** Keeps it in the registry without new requests, until the next update. */
  pause(): void {
    this.#leaveAs('drained');
  }

  /** Leaves as `leave` does, but for as long as it takes, and may come back: the lease goes on without it. */
  retire(): void {
    this.#leaveAs('gone');
  }

  /** The same without a wait for the balancers: nothing answers at its address any more. */
  drop(): void {
    this.#leaveAs('dropped');
  }

  /**
   * Takes the instance out of the registry for good, when every balancer has let go of it. Never rejects; what is not
   * confirmed in time, or when `signal` aborts, is logged. `together`: how many leave at once.
   */
  async leave(departure: Departure, signal: AbortSignal, together = 1): Promise<void> {
    const { logger } = this.#parts;
    await this.stop();
    const within = (ms: number) => timeLimit(ms + turnMs * together, signal);
    try {
      await this.#depart(this.#declared.instance, departure, signal, within);
    } catch (error) {
      logger.warn({ event: 'leave-unconfirmed', reason: describe(error) }, 'the registry did not confirm the leave');
    }
  }

  /** Leaves the registry as it is from now on. Resolves when no check and no write is under way. */
  async stop(): Promise<void> {
    await Promise.all([this.#checker?.close(), this.#applier.stop()]);
  }

  #leaveAs(state: DesiredState): void {
    void this.#checker?.close();
    this.#checker = undefined;
    if (this.#applier.desired.state !== state) this.#setDesired(state);
  }

  /** Begins to check what is declared now, or counts it as healthy when there is nothing to check. */
  #watch(): void {
    const former = this.#checker;
    const { check, rhythm } = this.#declared;
    if (check === undefined) {
      this.#checker = undefined;
      this.#setDesired('announced');
      void former?.close();
      return;
    }
    const { openProbe, now, random, onRefused } = this.#parts;
    const checker = new HealthChecker({
      openProbe: async () => {
        await former?.close();
        return openProbe(check);
      },
      rhythm,
      now,
      random,
      onChecked: (result) => this.#onChecked(formatTarget(check), result),
    });
    this.#checker = checker;
    checker.open().catch((error: unknown) => onRefused(error));
  }

  #onChecked(target: string, check: Check): void {
    const { logger, now } = this.#parts;
    const next = nextDesired(this.#applier.desired.state, this.#declared.unhealthy, check);
    switch (next.kind) {
      case 'unchanged':
        return;
      case 'healthy':
        if (next.again) logger.info({ event: 'healthy', check: target }, 'healthy again');
        this.#setDesired(next.state);
        return;
      case 'unhealthy': {
        const { reason, state } = next;
        const becomes = state === 'drained' ? 'takes no new requests' : 'is taken out of the registry';
        logger.warn(
          { event: 'unhealthy', check: target, failed: check.health.failed, reason },
          `${this.name} is unhealthy and ${becomes}: ${reason}`,
        );
        this.#waiting = { reason, at: now() };
        this.#setDesired(state);
        return;
      }
      case 'waiting':
        this.#logWaiting(target, next.reason);
    }
  }

  #logWaiting(check: string, reason: string): void {
    const { logger, now } = this.#parts;
    const sinceMs = now() - this.#waiting.at;
    if (sinceMs < (reason === this.#waiting.reason ? remindMs : remindMs / 10)) return;
    this.#waiting = { reason, at: now() };
    logger.info({ event: 'waiting', check, reason }, `${this.name} is announced when ${check} passes: ${reason}`);
  }

  /** Another process took the key: publishing again waits until the key is free. */
  #onTaken(): void {
    if (this.#applier.desired.state === 'announced') this.#setDesired('announced');
  }

  #setDesired(state: DesiredState): void {
    this.#refusal = undefined;
    this.#applier.set({ state, instance: this.#declared.instance });
  }

  /** Logs the reason once, and again from time to time. */
  #onFailed(error: unknown): 'try again' | 'give up' {
    const { logger, onRefused } = this.#parts;
    const reason = describe(error);
    this.#refusal = reason;
    if (error instanceof Fault && error.code === 'key-owned') {
      onRefused(error);
      return 'give up';
    }
    const message = `the registry refuses the registration of ${this.name}: ${reason}; pointsman tries again`;
    if (this.#refusals.isNew(this.name, reason)) {
      logger.error({ event: 'refused', instance: this.name, reason }, message);
    }
    return 'try again';
  }

  async #apply(desired: Desired, signal: AbortSignal): Promise<void> {
    await this.#carryOut(desired, signal);
    if (!signal.aborted) this.#refusal = undefined;
  }

  async #carryOut({ state, instance }: Desired, signal: AbortSignal): Promise<void> {
    const { logger, now } = this.#parts;
    const address = formatAddress(instance.address);
    switch (state) {
      case 'announced': {
        const revision = await this.#announcement.publish(signal, instance);
        logger.info(
          { event: 'announced', address, revision: revisionText(revision), sinceStartMs: Math.round(now()) },
          `announced ${this.name} at ${address}`,
        );
        this.#parts.onAnnounced?.();
        return;
      }
      case 'drained': {
        const revision = await this.#announcement.drain(signal);
        logger.info({ event: 'drained', revision: revisionText(revision) }, 'draining until it is healthy again');
        return;
      }
      case 'withdrawn': {
        const revision = await this.#announcement.withdraw(signal);
        if (revision !== undefined)
          logger.info({ event: 'withdrawn', revision: revisionText(revision) }, 'out until it is healthy again');
        return;
      }
      case 'gone': {
        const departure = this.#parts.departure?.();
        if (departure !== undefined) await this.#depart(instance, departure, signal, () => signal);
        if (signal.aborted) return;
        this.#parts.onGone?.();
        return;
      }
      case 'dropped': {
        const revision = await this.#announcement.withdraw(signal);
        if (revision !== undefined)
          logger.info({ event: 'left', revision: revisionText(revision) }, 'out of the registry');
        if (!signal.aborted) this.#parts.onGone?.();
        return;
      }
    }
  }

  /**
   * The one way out of the registry for good: drains, waits until every balancer has let go, removes the key. `within`
   * limits each wait for the registry. Rejects when the registry does not confirm it.
   */
  async #depart(
    instance: Instance,
    departure: Departure,
    signal: AbortSignal,
    within: (ms: number) => AbortSignal,
  ): Promise<void> {
    const { logger } = this.#parts;
    await departure.prepared;
    const drains = await this.#announcement.drain(within(confirmMs));
    if (drains === undefined) return;
    await departure.drained(instance, drains, logger, signal);
    // Under time pressure the key is left to the end of the lease, without a line in the log: a thousand may leave so.
    if (signal.aborted) return;
    try {
      const revision = await this.#announcement.remove(within(removeMs));
      logger.info({ event: 'left', revision: revisionText(revision) }, 'out of the registry');
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

const revisionText = (revision: Revision | undefined): string | undefined =>
  revision === undefined ? undefined : String(revision);

const sameCheck = (one: Declared, other: Declared): boolean =>
  formatAddress(one.instance.address) === formatAddress(other.instance.address) &&
  JSON.stringify([one.check, one.rhythm]) === JSON.stringify([other.check, other.rhythm]);
