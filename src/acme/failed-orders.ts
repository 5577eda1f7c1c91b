import type { Logger } from 'pino';
import { orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord } from '../model/acme/order-record.ts';
import { describe } from '../model/fault.ts';
import { aborted, timeLimit } from '../waiting/time-limit.ts';
import type { AcmeMetrics } from './acme-metrics.ts';
import type { AuthorityPause } from './authority-pause.ts';
import { FleetBehind, type FleetWait } from './fleet-behind.ts';
import type { HostStates } from './host-states.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { NotWritten } from './leadership.ts';
import { OrderEnded } from './order-ended.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { mostWaitMs, retryMs } from './retry-time.ts';

export type FailedOrdersParts = {
  /** The address of the authority's directory. */
  readonly directory: string;
  readonly entries: LeaderEntries;
  readonly states: HostStates;
  readonly pause: AuthorityPause;
  readonly fleet: FleetWait;
  /** Called when this balancer reaches no authority, and another one may. */
  readonly giveUp: (reason: string) => void;
  readonly metrics: AcmeMetrics;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly wall: () => Date;
  readonly random: () => number;
};

/** How many pauses in a row, of an authority that does not even answer, let this balancer give up. */
const mostUnanswered = 3;
/** How long a host rests after somebody else has changed its entries, in ms. */
const repeatMs = 1000;

/** Decides whom a failed order is to blame for, and when its host is tried again. */
export class FailedOrders {
  readonly #parts: FailedOrdersParts;

  constructor(parts: FailedOrdersParts) {
    this.#parts = parts;
  }

  /** Resolves when the failure is written, or the host has rested. Never rejects. */
  async add(host: string, reason: OrderRecord['reason'], error: unknown): Promise<void> {
    const { logger, signal, states, directory, pause, wall, metrics } = this.#parts;
    if (error instanceof NotWritten) {
      // Somebody has written one of the keys meanwhile: the next look takes it from there.
      logger.warn({ event: 'certificate-order-repeated', host, reason: error.message }, `${host}: ${error.message}`);
      // The registry tells of it meanwhile: another order would be made for nothing.
      await aborted(timeLimit(repeatMs, signal));
      return;
    }
    const text = describe(error).slice(0, 2000);
    const before = states.recordOf(host);
    const isBehind = error instanceof FleetBehind;
    const isUnavailable = error instanceof AuthorityError && error.kind === 'unavailable';
    if (error instanceof AuthorityError && !isUnavailable) pause.answered(host);
    const failures = (before?.failures ?? 0) + (isUnavailable || isBehind ? 0 : 1);
    const waitMs = Math.min(this.#waitMs(host, error, failures), mostWaitMs);
    const nextTry = new Date(wall().getTime() + waitMs).toISOString();
    const kept = error instanceof OrderEnded || before?.authority !== directory ? undefined : before;
    // The log says once that the fleet is behind, not for each host.
    if (!isBehind) {
      metrics.orders.inc({ result: 'failed' });
      logger.warn(
        { event: 'certificate-order-failed', host, reason: text, failures, nextTry },
        `no certificate for ${host}: ${text}; the next attempt is at ${nextTry}`,
      );
    }
    await this.#write(host, {
      ...{ reason, stage: kept?.stage ?? 'waiting', order: kept?.order, key: kept?.key, authority: directory },
      ...{ failures, error: text, nextTry },
    });
    // What an authority answers, it would answer every balancer.
    const isUnanswered = isUnavailable && error.status === undefined;
    if (isUnanswered && pause.failures >= mostUnanswered && !signal.aborted) this.#parts.giveUp(text);
  }

  /** How long the host waits, in ms. */
  #waitMs(host: string, error: unknown, failures: number): number {
    const { fleet, pause, states, random } = this.#parts;
    if (error instanceof FleetBehind) return fleet.add(host, error);
    const isAuthority = error instanceof AuthorityError;
    if (isAuthority && error.kind === 'unavailable') return pause.waitMs(host, error);
    const validity = states.of(host).certificate?.validity;
    const lifetimeMs = validity && validity.until - validity.from;
    return retryMs(failures, lifetimeMs, isAuthority ? error.retryAfterMs : undefined, random());
  }

  async #write(host: string, record: OrderRecord): Promise<void> {
    const { entries, logger, signal, pause } = this.#parts;
    try {
      await entries.write({ [orderKey(host)]: formatOrderRecord(record), [renewalKey(host)]: undefined });
    } catch (failure) {
      if (signal.aborted || failure instanceof NotWritten) return;
      const why = describe(failure);
      logger.error({ event: 'certificate-order-unwritten', host, reason: why }, `${orderKey(host)}: ${why}`);
      await aborted(timeLimit(pause.all(undefined), signal));
    }
  }
}
