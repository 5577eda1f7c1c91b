import { type ReloadReason, servicesOf } from '../../haproxy/reload-reason.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import type { ServiceName } from '../../model/name.ts';
import { formatDuration } from '../../model/quantity.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { ReloadMetrics } from './reload-metrics.ts';

/** How often the changes of one service may cause a reload. */
export type ServicePace = {
  /** The number of reloads without a pause. */
  readonly burst: number;
  /** After the burst one reload in this time, in ms. 0: no limit. */
  readonly everyMs: number;
};

/** When a service has its whole burst again, and when its changes were in a reload last, in ms. */
type Used = { readonly fullAt: number; readonly at: number };

/** By service, a token bucket of the reloads that its changes needed. A value. */
export type ReloadBudget = ReadonlyMap<ServiceName, Used>;

export const unusedBudget: ReloadBudget = new Map();

/** The budget after a reload with changes of these services. Services with their whole burst are left out. */
export function spend(
  budget: ReloadBudget,
  services: Iterable<ServiceName>,
  now: number,
  pace: ServicePace,
): ReloadBudget {
  const next = new Map([...budget].filter(([, { fullAt }]) => fullAt > now));
  for (const name of services) {
    const fullAt = Math.max(budget.get(name)?.fullAt ?? now, now) + pace.everyMs;
    // A service whose changes join a reload of others uses no more than its burst.
    next.set(name, { fullAt: Math.min(fullAt, now + pace.burst * pace.everyMs), at: now });
  }
  return next;
}

/**
 * Milliseconds until the changes of a service may cause a reload again. `apartMs` is the least time between its reloads, whatever is
 * left of its burst.
 */
export function waitOf(
  budget: ReloadBudget,
  service: ServiceName,
  now: number,
  { burst, everyMs }: ServicePace,
  apartMs = 0,
): number {
  const used = budget.get(service);
  if (used === undefined || everyMs === 0) return 0;
  return Math.max(0, used.fullAt - now - (burst - 1) * everyMs, used.at + apartMs - now);
}

type ReloadPacingParts = LogAndClock & {
  readonly pace: ServicePace;
  /** The least time between reloads of one service while there are many old workers, in ms. */
  readonly crowdedMs: number;
  readonly metrics: Pick<ReloadMetrics, 'pacedServices'>;
};

const mostNamed = 3;

/** Has services wait with changes that need a reload, so that one service cannot make HAProxy reload all the time. */
export class ReloadPacing {
  readonly #parts: ReloadPacingParts;
  readonly #log: LimitedLog;
  #budget: ReloadBudget = unusedBudget;
  #crowded = false;
  /** The services that had to wait, until their budget has a reload again. */
  readonly #waiting = new Set<ServiceName>();

  constructor(parts: ReloadPacingParts) {
    this.#parts = parts;
    this.#log = new LimitedLog(parts.logger, parts.now, 'reload-paced-untold');
  }

  /** With many old workers each service has to wait longer. */
  crowded(crowded: boolean): void {
    this.#crowded = crowded;
  }

  /** To be called after a reload for these reasons. */
  spend(reasons: Iterable<ReloadReason>): void {
    const { pace, now } = this.#parts;
    this.#budget = spend(this.#budget, new Set([...reasons].flatMap(servicesOf)), now(), pace);
  }

  /** Milliseconds until a reload for one of these reasons may begin. A reason of no service does not wait. */
  waitMs(reasons: Iterable<ReloadReason>): number {
    let least = Number.POSITIVE_INFINITY;
    for (const reason of reasons) {
      const services = servicesOf(reason);
      least = Math.min(least, ...(services.length === 0 ? [0] : services.map((name) => this.#waitOf(name))));
    }
    return least === Number.POSITIVE_INFINITY ? 0 : least;
  }

  /** Whether the changes of this service that need a reload have to wait now. */
  isWaiting(name: ServiceName): boolean {
    return this.#waitOf(name) > 0;
  }

  /** For each service of these reasons that has to wait: why. */
  waiting(reasons: Iterable<ReloadReason>): ReadonlyMap<ServiceName, string> {
    const names = new Set([...reasons].flatMap(servicesOf).filter((name) => this.#waitOf(name) > 0));
    for (const name of names) {
      if (this.#waiting.has(name)) continue;
      this.#waiting.add(name);
      this.#log.warn({ event: 'reload-paced', service: name, reason: this.#why(name) }, this.#why(name));
    }
    for (const name of this.#waiting) if (this.#waitOf(name) === 0) this.#waiting.delete(name);
    this.#parts.metrics.pacedServices.set(this.#waiting.size);
    return new Map([...names].map((name) => [name, this.#why(name)]));
  }

  /** Why changes wait; undefined while the changes of no service do. */
  trouble(paced: ReadonlyMap<ServiceName, string>): string | undefined {
    const names = [...new Set([...paced.keys(), ...this.#waiting])];
    if (names.length === 0) return undefined;
    const more = names.length > mostNamed ? ` and ${names.length - mostNamed} more` : '';
    return `${names.slice(0, mostNamed).join(', ')}${more}: ${this.#rule()}`;
  }

  close(): void {
    this.#log.close();
  }

  #waitOf(name: ServiceName): number {
    const { pace, crowdedMs, now } = this.#parts;
    return waitOf(this.#budget, name, now(), pace, this.#crowded ? crowdedMs : 0);
  }

  #why(name: ServiceName): string {
    return `changes of ${name} that need a reload wait: ${this.#rule()}`;
  }

  #rule(): string {
    const { pace, crowdedMs } = this.#parts;
    return this.#crowded
      ? `many workers of earlier reloads still run, so reloads for one service are ${formatDuration(Math.max(crowdedMs, pace.everyMs))} apart`
      : `after ${pace.burst} reloads, further reloads for one service are ${formatDuration(pace.everyMs)} apart (--service-reload-interval)`;
  }
}
