import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import type { SealingKeys } from '../model/acme/sealing.ts';
import { describe } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import { type Rest, Slots } from '../waiting/serial-queue.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';
import type { AcmeMetrics } from './acme-metrics.ts';
import type { Advising } from './advising.ts';
import { type Due, dueOf, type HostState } from './due.ts';
import { FleetBehind, FleetWait } from './fleet-behind.ts';
import { KnownCertificates } from './known-certificate.ts';
import type { LeaderEntries, Seen } from './leader-entries.ts';
import { NotWritten } from './leadership.ts';
import { OrderEnded, type Ordering } from './ordering.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { mostWaitMs, pauseMs, retryMs } from './retry-time.ts';
import { Unanswered } from './unanswered.ts';
import { upkeepOf } from './upkeep.ts';

export type LeaderParts = {
  /** The address of the authority's directory. */
  readonly directory: string;
  readonly entries: LeaderEntries;
  readonly ordering: Pick<Ordering, 'order'>;
  readonly advising: Pick<Advising, 'follow' | 'keepOnly'>;
  readonly sealingKeys: SealingKeys;
  /** The hosts that need a certificate, each with its service; undefined: they are not known yet. */
  readonly hosts: () => ReadonlyMap<string, ServiceName> | undefined;
  /** An entry that the registry has lost, and that counts all the same. */
  readonly held: (key: string) => Seen | undefined;
  /** Called when this balancer reaches no authority, and another one may. */
  readonly giveUp: (reason: string) => void;
  readonly metrics: AcmeMetrics;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly wall: () => Date;
  readonly random: () => number;
};

/** How many orders are carried out at once. */
const mostOrders = 8;
/** How many further orders may wait for the authority. Each may have a challenge, of which balancers take at most 1,000. */
const mostResting = 100;
/** How many pauses in a row, of an authority that does not even answer, let this balancer give up. */
const mostUnanswered = 3;
/** Events that come together make one look, in ms. */
const togetherMs = 10;
/** How much longer than a look the pause after it is: with thousands of hosts a look takes time. */
const restFactor = 10;
/** The longest time between two looks, in ms: the wall clock may be set. */
const restMs = 60_000;
/** How long a host rests after somebody else has changed its entries, in ms. */
const repeatMs = 1000;

/** Decides again and again what is to be done for each host, and does it. */
export class Leader {
  readonly #parts: LeaderParts;
  readonly #known = new KnownCertificates();
  readonly #records = new WeakMap<Seen, { readonly record: OrderRecord | undefined }>();
  readonly #slots = new Slots(mostOrders, mostResting);
  readonly #running = new Map<string, Promise<void>>();
  readonly #reasons = new OncePerReason();
  #upkeeping: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #notBefore = 0;
  /** The authority could not be reached: no order is tried before this time (of the monotonic clock). */
  #pause = { failures: 0, until: 0 };
  readonly #fleet: FleetWait;
  readonly #unanswered = new Unanswered();

  constructor(parts: LeaderParts) {
    this.#parts = parts;
    const { logger, signal, now } = parts;
    this.#fleet = new FleetWait({ logger, signal, now, onCaughtUp: () => this.look() });
  }

  /** To be called when something may have changed. */
  look(): void {
    this.#lookIn(togetherMs);
  }

  /** Resolves when nothing of it runs any more; to be called after `signal` has aborted. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all([...this.#running.values(), this.#upkeeping]);
    clearTimeout(this.#timer);
    const { metrics } = this.#parts;
    metrics.failing.set(0);
    metrics.waiting.set(0);
  }

  #lookIn(ms: number): void {
    const { now, signal } = this.#parts;
    if (signal.aborted) return;
    const at = Math.max(now() + ms, this.#notBefore);
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      const begun = now();
      this.#lookNow();
      this.#notBefore = now() + restFactor * (now() - begun);
    }, at - now());
  }

  #lookNow(): void {
    const { hosts, entries, signal, wall, now, advising, sealingKeys } = this.#parts;
    const wanted = hosts();
    if (signal.aborted || !entries.complete || wanted === undefined) return;
    const time = wall().getTime();
    const due = new Map<string, Due>();
    let restsMs = restMs;
    for (const host of wanted.keys()) {
      const state = this.#stateOf(host);
      const what = dueOf(state, this.#parts.directory, time);
      due.set(host, what);
      if (what.kind === 'wait') restsMs = Math.min(restsMs, what.until - time);
      this.#tellStuck(host, what);
      if (what.kind === 'order') this.#start(host);
      const seen = entries.get(certificateKey(host));
      if (state.certificate !== undefined && seen !== undefined)
        advising.follow(host, state.certificate, seen.revision);
    }
    advising.keepOnly(wanted);
    this.#measure(wanted);
    const view = {
      ...{ entries, due, sealingKeys, now: time },
      isRunning: (host: string) => this.#isRunning(host),
      known: (host: string, seen: Seen) => this.#known.get(host, seen, sealingKeys),
    };
    this.#keepUp(upkeepOf(view));
    const pausesMs = Math.max(this.#pause.until, this.#fleet.until) - now();
    this.#lookIn(Math.max(pausesMs > 0 ? Math.min(restsMs, pausesMs) : restsMs, togetherMs));
  }

  /** A wildcard's challenge is of the name without `*.`. */
  #isRunning(host: string): boolean {
    return this.#running.has(host) || this.#running.has(`*.${host}`);
  }

  #stateOf(host: string): HostState {
    const { entries, held, sealingKeys } = this.#parts;
    // A registry that has lost it gets another one when it is to be renewed: HAProxy serves the lost one as long.
    const seen = entries.get(certificateKey(host)) ?? held(certificateKey(host));
    return {
      certificate: seen && this.#known.get(host, seen, sealingKeys),
      record: this.#fleet.isReady(host) ? withoutWait(this.#recordOf(host)) : this.#recordOf(host),
      asked: entries.get(renewalKey(host)) !== undefined,
    };
  }

  #recordOf(host: string): OrderRecord | undefined {
    const seen = this.#parts.entries.get(orderKey(host));
    if (seen === undefined) return undefined;
    const known = this.#records.get(seen);
    if (known !== undefined) return known.record;
    const parsed = parseOrderRecord(seen.value);
    const record = parsed.ok ? parsed.value : undefined;
    this.#records.set(seen, { record });
    return record;
  }

  #start(host: string): void {
    if (this.#running.has(host) || this.#isPausedFor(host)) return;
    // The orders of a name and of its wildcard have one DNS record.
    const running = this.#slots
      .run(host.replace(/^\*\./, ''), (rest) => this.#attempt(host, rest))
      .finally(() => {
        this.#running.delete(host);
        this.look();
      });
    this.#running.set(host, running);
  }

  #isPaused(): boolean {
    return this.#parts.now() < Math.max(this.#pause.until, this.#fleet.until);
  }

  /** A pause is a guess: an operator who asks may know more. */
  #isPausedFor(host: string): boolean {
    return this.#isPaused() && this.#parts.entries.get(renewalKey(host)) === undefined;
  }

  /** One attempt. Never rejects. */
  async #attempt(host: string, rest: Rest): Promise<void> {
    const { signal, directory, wall, now, ordering, metrics, logger, hosts } = this.#parts;
    // It may have waited for its turn.
    if (signal.aborted || this.#isPausedFor(host) || hosts()?.has(host) !== true) return;
    const due = dueOf(this.#stateOf(host), directory, wall().getTime());
    if (due.kind !== 'order') return;
    const since = now();
    this.#fleet.remove(host);
    try {
      const { reason } = due;
      logger.info({ event: 'certificate-order', host, reason }, `ordering a certificate for ${host} (${reason})`);
      const { renewAt } = await ordering.order(host, reason, rest);
      this.#unanswered.answered(host);
      this.#pause = { failures: 0, until: 0 };
      metrics.orders.inc({ result: 'issued' });
      metrics.seconds.observe((now() - since) / 1000);
      const ms = Math.round(now() - since);
      logger.info({ event: 'certificate-issued', host, renewAt, ms }, `the authority made a certificate for ${host}`);
    } catch (error) {
      if (signal.aborted) return;
      await this.#fail(host, due.reason, error);
    }
  }

  async #fail(host: string, reason: OrderRecord['reason'], error: unknown): Promise<void> {
    const { entries, wall, random, metrics, logger, directory, signal } = this.#parts;
    if (error instanceof NotWritten) {
      // Somebody has written one of the keys meanwhile: the next look takes it from there.
      logger.warn({ event: 'certificate-order-repeated', host, reason: error.message }, `${host}: ${error.message}`);
      // The registry tells of it meanwhile: another order would be made for nothing.
      await aborted(timeLimit(repeatMs, signal));
      return;
    }
    const text = describe(error).slice(0, 2000);
    const before = this.#recordOf(host);
    const isBehind = error instanceof FleetBehind;
    const isAuthority = error instanceof AuthorityError;
    const isUnavailable = isAuthority && error.kind === 'unavailable';
    const retryAfterMs = isAuthority ? error.retryAfterMs : undefined;
    if (isAuthority && !isUnavailable) this.#unanswered.answered(host);
    const failures = (before?.failures ?? 0) + (isUnavailable || isBehind ? 0 : 1);
    let waitMs: number;
    if (isBehind) waitMs = this.#fleet.add(host, error);
    else if (isUnavailable) waitMs = this.#waitMs(host, error);
    else waitMs = retryMs(failures, this.#lifetimeOf(host), retryAfterMs, random());
    const nextTry = new Date(wall().getTime() + Math.min(waitMs, mostWaitMs)).toISOString();
    const kept = error instanceof OrderEnded || before?.authority !== directory ? undefined : before;
    const record: OrderRecord = {
      ...{ reason, stage: kept?.stage ?? 'waiting', order: kept?.order, key: kept?.key, authority: directory },
      ...{ failures, error: text, nextTry },
    };
    // The log says once that the fleet is behind, not for each host.
    if (!isBehind) {
      metrics.orders.inc({ result: 'failed' });
      logger.warn(
        { event: 'certificate-order-failed', host, reason: text, failures, nextTry },
        `no certificate for ${host}: ${text}; the next attempt is at ${nextTry}`,
      );
    }
    try {
      await entries.write({ [orderKey(host)]: formatOrderRecord(record), [renewalKey(host)]: undefined });
    } catch (failure) {
      if (signal.aborted || failure instanceof NotWritten) return;
      const why = describe(failure);
      logger.error({ event: 'certificate-order-unwritten', host, reason: why }, `${orderKey(host)}: ${why}`);
      await aborted(timeLimit(this.#pauseAll(undefined), signal));
    }
    // What an authority answers, it would answer every balancer.
    const isUnanswered = isUnavailable && error.status === undefined;
    if (isUnanswered && this.#pause.failures >= mostUnanswered) this.#parts.giveUp(text);
  }

  /** How long a host waits for an authority that is broken, in ms: alone, unless all hosts are concerned. */
  #waitMs(host: string, { isShared, retryAfterMs }: AuthorityError): number {
    if (isShared) return this.#pauseAll(retryAfterMs);
    const { times, isForAll } = this.#unanswered.add(host);
    return isForAll ? this.#pauseAll(retryAfterMs) : pauseMs(times, retryAfterMs, this.#parts.random());
  }

  /** Tries nothing for a while. Orders that fail in the same pause count once. Gives its length in ms. */
  #pauseAll(retryAfterMs: number | undefined): number {
    const { now, random } = this.#parts;
    const failures = this.#isPaused() ? this.#pause.failures : this.#pause.failures + 1;
    const ms = Math.min(pauseMs(failures, retryAfterMs, random()), mostWaitMs);
    this.#pause = { failures, until: Math.max(this.#pause.until, now() + ms) };
    return this.#pause.until - now();
  }

  #lifetimeOf(host: string): number | undefined {
    const validity = this.#stateOf(host).certificate?.validity;
    return validity && validity.until - validity.from;
  }

  #tellStuck(host: string, due: Due): void {
    const reason = due.kind === 'stuck' ? due.reason : undefined;
    if (!this.#reasons.isNew(host, reason)) return;
    this.#parts.logger.error({ event: 'certificate-unopened', host, reason }, `${host} is not renewed: ${reason}`);
  }

  #keepUp(upkeep: ReturnType<typeof upkeepOf>): void {
    if (upkeep.length === 0 || this.#upkeeping !== undefined) return;
    const { entries, logger, signal } = this.#parts;
    const work = async () => {
      for (const { key, value, since } of upkeep) {
        if (signal.aborted) return;
        await entries.replace(key, value, since);
      }
    };
    this.#upkeeping = work()
      .catch((error: unknown) => {
        if (signal.aborted || error instanceof NotWritten) return;
        const reason = describe(error);
        if (this.#reasons.isNew('*', reason)) {
          logger.warn({ event: 'certificate-upkeep-failed', reason }, `old entries of certificates stay: ${reason}`);
        }
      })
      .finally(() => {
        this.#upkeeping = undefined;
      });
  }

  #measure(wanted: ReadonlyMap<string, ServiceName>): void {
    const { metrics } = this.#parts;
    let [failing, without] = [0, 0];
    for (const host of wanted.keys()) {
      const { certificate, record } = this.#stateOf(host);
      if ((record?.failures ?? 0) > 0 || record?.error !== undefined) failing += 1;
      if (certificate === undefined) without += 1;
    }
    metrics.failing.set(failing);
    metrics.waiting.set(without);
  }
}

const withoutWait = (record: OrderRecord | undefined): OrderRecord | undefined =>
  record && { ...record, nextTry: undefined };
