import type { Logger } from 'pino';
import { OncePerReason } from '../logging/once-per-reason.ts';
import { certificateKey, renewalKey } from '../model/acme/keys.ts';
import type { SealingKeys } from '../model/acme/sealing.ts';
import type { ServiceName } from '../model/name.ts';
import { type Rest, Slots } from '../waiting/serial-queue.ts';
import type { AcmeMetrics } from './acme-metrics.ts';
import type { Advising } from './advising.ts';
import { AuthorityPause } from './authority-pause.ts';
import { type Due, dueOf } from './due.ts';
import { FailedOrders } from './failed-orders.ts';
import { FleetWait } from './fleet-behind.ts';
import { HostStates, type LostEntry } from './host-states.ts';
import type { LeaderEntries, Seen } from './leader-entries.ts';
import type { Ordering } from './ordering.ts';
import { upkeepOf } from './upkeep.ts';
import { Upkeeping } from './upkeeping.ts';

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
  readonly held: (key: string) => LostEntry | undefined;
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
/** Events that come together make one look, in ms. */
const togetherMs = 10;
/** How much longer than a look the pause after it is: with thousands of hosts a look takes time. */
const restFactor = 10;
/** The longest time between two looks, in ms: the wall clock may be set. */
const restMs = 60_000;

/** Decides again and again what is to be done for each host, and does it. */
export class Leader {
  readonly #parts: LeaderParts;
  readonly #slots = new Slots(mostOrders, mostResting);
  readonly #running = new Map<string, Promise<void>>();
  readonly #reasons = new OncePerReason();
  readonly #upkeeping: Upkeeping;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #notBefore = 0;
  readonly #fleet: FleetWait;
  readonly #pause: AuthorityPause;
  readonly #states: HostStates;
  readonly #failed: FailedOrders;

  constructor(parts: LeaderParts) {
    this.#parts = parts;
    const { directory, entries, held, sealingKeys, giveUp, metrics, logger, signal, now, wall, random } = parts;
    const [fleet, pause] = [
      new FleetWait({ logger, signal, now, onCaughtUp: () => this.look() }),
      new AuthorityPause({ now, random }),
    ];
    const states = new HostStates({ entries, held, sealingKeys, isReady: (host) => fleet.isReady(host) });
    this.#fleet = fleet;
    this.#pause = pause;
    this.#states = states;
    this.#upkeeping = new Upkeeping({ entries, logger, signal });
    this.#failed = new FailedOrders({
      ...{ directory, entries, states, pause, fleet, giveUp, metrics, logger, signal, wall, random },
    });
  }

  /** To be called when something may have changed. */
  look(): void {
    this.#lookIn(togetherMs);
  }

  /** Resolves when nothing of it runs any more; to be called after `signal` has aborted. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all([...this.#running.values(), this.#upkeeping.idle()]);
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
    const { hosts, entries, signal, wall, now, advising, sealingKeys, held } = this.#parts;
    const wanted = hosts();
    if (signal.aborted || !entries.complete || wanted === undefined) return;
    const time = wall().getTime();
    const due = new Map<string, Due>();
    let restsMs = restMs;
    for (const host of wanted.keys()) {
      const state = this.#states.of(host);
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
    this.#measure(wanted, due);
    const view = {
      ...{ entries, due, sealingKeys, now: time },
      isRunning: (host: string) => this.#isRunning(host),
      known: (host: string, seen: Pick<Seen, 'value'>) => this.#states.known(host, seen),
      held,
    };
    this.#upkeeping.begin(upkeepOf(view));
    const pausesMs = Math.max(this.#pause.until, this.#fleet.until) - now();
    this.#lookIn(Math.max(pausesMs > 0 ? Math.min(restsMs, pausesMs) : restsMs, togetherMs));
  }

  /** A wildcard's challenge is of the name without `*.`. */
  #isRunning(host: string): boolean {
    return this.#running.has(host) || this.#running.has(`*.${host}`);
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
    const due = dueOf(this.#states.of(host), directory, wall().getTime());
    if (due.kind !== 'order') return;
    const since = now();
    this.#fleet.remove(host);
    try {
      const { reason } = due;
      logger.info({ event: 'certificate-order', host, reason }, `ordering a certificate for ${host} (${reason})`);
      const { renewAt } = await ordering.order(host, reason, rest);
      this.#pause.answered(host);
      this.#pause.end();
      metrics.orders.inc({ result: 'issued' });
      metrics.seconds.observe((now() - since) / 1000);
      const ms = Math.round(now() - since);
      logger.info({ event: 'certificate-issued', host, renewAt, ms }, `the authority made a certificate for ${host}`);
    } catch (error) {
      if (signal.aborted) return;
      await this.#failed.add(host, due.reason, error);
    }
  }

  #tellStuck(host: string, due: Due): void {
    const reason = due.kind === 'stuck' ? due.reason : undefined;
    if (!this.#reasons.isNew(host, reason)) return;
    this.#parts.logger.error({ event: 'certificate-unopened', host, reason }, `${host} is not renewed: ${reason}`);
  }

  #measure(wanted: ReadonlyMap<string, ServiceName>, due: ReadonlyMap<string, Due>): void {
    const { metrics } = this.#parts;
    let [failing, without] = [0, 0];
    for (const host of wanted.keys()) {
      const { certificate, record } = this.#states.of(host);
      const isStuck = due.get(host)?.kind === 'stuck';
      if (isStuck || (record?.failures ?? 0) > 0 || record?.error !== undefined) failing += 1;
      if (certificate === undefined) without += 1;
    }
    metrics.failing.set(failing);
    metrics.waiting.set(without);
  }
}
