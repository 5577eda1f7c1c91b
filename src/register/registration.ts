import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { formatAddress } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import type { CheckRhythm } from '../model/health-check.ts';
import type { Instance } from '../model/instance.ts';
import type { Revision } from '../model/revision.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { Announcement } from './announcement.ts';
import { type CheckTarget, formatTarget } from './check-target.ts';
import type { Departure } from './departure.ts';
import type { Health } from './health.ts';
import { HealthChecker } from './health-checker.ts';
import type { CheckOutcome, Probe } from './outcome.ts';
import type { SharedLease } from './shared-lease.ts';

/** An instance to be announced, with nothing left open. */
export type Declared = {
  readonly instance: Instance;
  /** How it is checked; without, it counts as healthy. */
  readonly check: CheckTarget | undefined;
  readonly rhythm: CheckRhythm;
  /** What becomes of it while it is unhealthy. */
  readonly unhealthy: 'withdraw' | 'drain';
};

export type RegistrationParts = {
  readonly lease: SharedLease;
  readonly declared: Declared;
  readonly logger: Logger;
  /** ms since this process started, monotonic. */
  readonly now: () => number;
  readonly random: () => number;
  readonly openProbe: (target: CheckTarget) => Promise<Probe>;
  /** See AnnouncementParts. */
  readonly whenHeld: 'refuse' | 'wait';
  /** Another process owns its key, and it is not tried again. */
  readonly onRefused: (fault: unknown) => void;
  /** For those that may retire: what they wait for, and when they are gone. */
  readonly departure?: () => Departure;
  readonly onGone?: () => void;
};

/** What should stand in the registry. */
type DesiredRegistration = {
  /** `gone`: withdrawn when every balancer has let go of it, for it is not declared any more. */
  readonly state: 'announced' | 'drained' | 'withdrawn' | 'gone';
  readonly instance: Instance;
};

/** How long the registry may take to hear of a leave, in ms; after that the application is not kept waiting. */
export const confirmMs = 5000;
/** The same once no requests come any more: what is not removed goes with the lease. */
const removeMs = 2000;
/**
 * What each of those that leave together adds to both, in ms: they go through one after the other, and one that is given up
 * before its turn would be lost without having drained, as a loss that balancers hold against.
 */
export const turnMs = 3;
/**
 * How long to wait before the next attempt, in ms, after the registry has refused one: somebody has to mend a password or a
 * permission first, and each login costs etcd the hashing of a password.
 */
const againMs = { least: 500, most: 10_000 };
/** How often at most the log says why an instance is still not announced, in ms. */
const remindMs = 60_000;

/** Keeps one instance in the registry as its health allows. */
export class Registration {
  /** `service/id`. */
  readonly name: string;
  readonly #parts: RegistrationParts;
  readonly #announcement: Announcement;
  #declared: Declared;
  #checker: HealthChecker | undefined;
  #desired: DesiredRegistration;
  #reached: DesiredRegistration;
  #stage: AbortController | undefined;
  #wake: (() => void) | undefined;
  #reconciling: Promise<void> | undefined;
  #stopped = false;
  #trouble: { readonly reason: string; readonly at: number } | undefined;
  #told = { reason: '', at: Number.NEGATIVE_INFINITY };

  constructor(parts: RegistrationParts) {
    const { lease, declared, logger, now, random, whenHeld } = parts;
    const { instance } = declared;
    this.name = `${instance.service}/${instance.id}`;
    this.#parts = parts;
    this.#declared = declared;
    this.#desired = { state: 'withdrawn', instance };
    this.#reached = this.#desired;
    this.#announcement = new Announcement({
      lease,
      instance,
      logger,
      now,
      random,
      whenHeld,
      onTaken: () => this.#onTaken(),
    });
  }

  begin(): void {
    this.#reconciling ??= this.#reconcile();
    this.#watch();
  }

  /**
   * Another form of the same instance, or the same after it retired. A new address must first prove healthy; until then
   * the old form stands.
   */
  update(declared: Declared): void {
    const before = this.#declared;
    this.#declared = declared;
    if (this.#desired.state !== 'gone' && sameCheck(before, declared)) this.#setDesired(this.#desired.state);
    else this.#watch();
  }

  /** Leaves as `leave` does, but for as long as it takes, and may come back: the lease goes on without it. */
  retire(): void {
    void this.#checker?.close();
    this.#checker = undefined;
    this.#setDesired('gone');
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
    this.#stopped = true;
    this.#interrupt();
    await Promise.all([this.#checker?.close(), this.#reconciling]);
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
        const [probe] = await Promise.all([openProbe(check), former?.close()]);
        return probe;
      },
      rhythm,
      now,
      random,
      onChecked: (health, before, outcome) => this.#onChecked(check, health, before, outcome),
    });
    this.#checker = checker;
    checker.open().catch((error: unknown) => onRefused(error));
  }

  #onChecked(check: CheckTarget, health: Health, before: Health, outcome: CheckOutcome): void {
    const { logger } = this.#parts;
    const { unhealthy } = this.#declared;
    const announced = this.#desired.state === 'announced';
    if (health.verdict !== before.verdict && health.verdict === 'healthy') {
      if (before.proven) logger.info({ event: 'healthy', check: formatTarget(check) }, 'healthy again');
      this.#setDesired('announced');
    } else if (health.verdict === 'unhealthy' && announced && !outcome.passes) {
      const { reason } = outcome;
      const becomes = unhealthy === 'drain' ? 'takes no new requests' : 'is taken out of the registry';
      logger.warn(
        { event: 'unhealthy', check: formatTarget(check), failed: health.failed, reason },
        `${this.name} is unhealthy and ${becomes}: ${reason}`,
      );
      this.#told = { reason, at: this.#parts.now() };
      this.#setDesired(unhealthy === 'drain' ? 'drained' : 'withdrawn');
    } else if (!announced && !outcome.passes) this.#tellWaiting(check, outcome.reason);
  }

  #tellWaiting(check: CheckTarget, reason: string): void {
    const { logger, now } = this.#parts;
    const sinceMs = now() - this.#told.at;
    if (sinceMs < (reason === this.#told.reason ? remindMs : remindMs / 10)) return;
    this.#told = { reason, at: now() };
    const target = formatTarget(check);
    logger.info({ event: 'waiting', check: target, reason }, `${this.name} waits until ${target} is well: ${reason}`);
  }

  /** Another one holds the key: what should be announced is published again, which waits until it may. */
  #onTaken(): void {
    if (this.#desired.state === 'announced') this.#setDesired('announced');
  }

  #setDesired(state: DesiredRegistration['state']): void {
    this.#desired = { state, instance: this.#declared.instance };
    this.#interrupt();
  }

  /** Has the pursuit look at its goal again. */
  #interrupt(): void {
    this.#stage?.abort();
    this.#wake?.();
  }

  /** Brings the registry to the goal, one write after the other: the newest goal is what counts in the end. */
  async #reconcile(): Promise<void> {
    while (!this.#stopped) {
      const desired = this.#desired;
      if (desired === this.#reached) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const stage = new AbortController();
      this.#stage = stage;
      await this.#insist(desired, stage.signal);
      // Given up for another goal, or to leave.
      if (!stage.signal.aborted) this.#reached = desired;
    }
  }

  /** Tries until the goal is reached, another process owns the key for good, or `signal` aborts. Never rejects. */
  async #insist(desired: DesiredRegistration, signal: AbortSignal): Promise<void> {
    const { random, onRefused } = this.#parts;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        return await this.#apply(desired, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Fault && error.code === 'key-owned') return onRefused(error);
        this.#tellTrouble(error);
        const bound = Math.min(againMs.most, againMs.least * 2 ** attempt);
        await pause(bound * (0.5 + random() / 2), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** The registry answered, and did not do it: says so once for each reason, and from time to time. */
  #tellTrouble(error: unknown): void {
    const { logger, now } = this.#parts;
    const reason = describe(error);
    if (reason === this.#trouble?.reason && now() - this.#trouble.at < remindMs) return;
    this.#trouble = { reason, at: now() };
    logger.error(
      { event: 'refused', instance: this.name, reason },
      `the registry refuses the registration of ${this.name}: ${reason}; trying again`,
    );
  }

  async #apply({ state, instance }: DesiredRegistration, signal: AbortSignal): Promise<void> {
    const { logger, now } = this.#parts;
    const address = formatAddress(instance.address);
    switch (state) {
      case 'announced': {
        const revision = await this.#announcement.publish(signal, instance);
        logger.info(
          { event: 'announced', address, revision: revisionText(revision), sinceStartMs: Math.round(now()) },
          `announced ${this.name} at ${address}`,
        );
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
    // Whoever is in a hurry leaves the key to the end of the lease: of a thousand that drained, nobody wants to read that.
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
