import { areaOfKey, serviceOfKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import type { Candidate, Quarantine } from './quarantine.ts';

export type RetryScheduleParts = {
  /** The first wait before a service in quarantine is tried again, in ms. */
  readonly retryMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
};

/** When the next attempt is due after a failure. */
type Wait = {
  /** The number of failures in a row. */
  readonly count: number;
  readonly dueAt: number;
  /** The hash of the form that failed, or the reason. */
  readonly about: string;
};
type Waits = ReadonlyMap<ServiceName, Wait>;

const mostRetryMs = 300_000;
const mostReloadMs = 3_600_000;
// Without it, services that failed together would be tried together each time.
const jitter = 0.2;
// Services that are due within this time are tried together.
const togetherMs = 500;
/** The waits from the second refusal on. There is none after the first: most people correct their mistake then. */
const refusalWaits = { firstMs: 1000, mostMs: 60_000 };
/** After this time without a refusal, the count begins again, in ms. */
const forgottenAfterMs = 300_000;

/**
 * When services in quarantine are tried again. A service that has not changed waits longer with each failure. The newest version of
 * a service whose versions were refused lately is checked by itself, and waits longer with each refusal.
 */
export class RetrySchedule {
  readonly #parts: RetryScheduleParts;
  /** Of services that have not changed. */
  #unchanged: Waits = new Map();
  /** Of services whose versions HAProxy refused lately. */
  #refused: Waits = new Map();

  constructor(parts: RetryScheduleParts) {
    this.#parts = parts;
  }

  /** Milliseconds until a service is to be tried again; undefined: none is in quarantine. */
  nextMs(quarantine: Quarantine): number | undefined {
    const { services } = quarantine;
    if (services.size === 0) return undefined;
    const changed = new Set(withNextVersion(quarantine));
    const waits = [...services.keys()].map((name) =>
      this.#dueInMs(changed.has(name) ? this.#refused : this.#unchanged, name),
    );
    return Math.min(...waits);
  }
  dueNewVersion(quarantine: Quarantine): ServiceName | undefined {
    return withNextVersion(quarantine).find((name) => this.#dueInMs(this.#refused, name) === 0);
  }
  dueUnchanged({ services }: Quarantine): ReadonlySet<ServiceName> {
    const unchanged = [...services].filter(([, { nextVersion }]) => nextVersion === undefined).map(([name]) => name);
    return new Set(unchanged.filter((name) => this.#dueInMs(this.#unchanged, name) <= togetherMs));
  }

  /**
   * The services whose next version is checked by itself before it takes part in a reload that others need, each with the reason:
   * HAProxy refused more than one of their versions lately.
   */
  get alone(): ReadonlyMap<ServiceName, string> {
    const several = [...this.#refused].filter(([, wait]) => wait.count > 1 && this.#isRecent(wait));
    return new Map(
      several.map(([service, { count, about }]) => [
        service,
        `HAProxy refused ${count} versions lately, so pointsman checks the newest one by itself before it uses it; the last refusal: ${about}`,
      ]),
    );
  }

  /** Counts a refusal of each service among the offenders. */
  refused(offenders: ReadonlyMap<Candidate, string>): void {
    const recent = new Map([...this.#refused].filter(([, wait]) => this.#isRecent(wait)));
    for (const [key, about] of offenders) {
      if (areaOfKey(key) !== 'services') continue;
      const service = serviceOfKey(key) as ServiceName;
      const count = (recent.get(service)?.count ?? 0) + 1;
      recent.set(service, { count, about, dueAt: this.#refusalDueAt(count) });
    }
    this.#refused = recent;
  }

  /** HAProxy accepted a version of this service by itself. The next version waits as long. */
  acceptedAlone(service: ServiceName): void {
    const known = this.#refused.get(service);
    if (known === undefined) return;
    this.#refused = new Map(this.#refused).set(service, { ...known, dueAt: this.#refusalDueAt(known.count) });
  }

  /**
   * Counts a failure of each service. `afterReload`: only another reload shows whether HAProxy accepts them, and one that fails may
   * harm other services, so they wait longer.
   */
  failedAgain({ services }: Quarantine, names: Iterable<ServiceName>, afterReload = false): void {
    const { retryMs, now, random = Math.random } = this.#parts;
    const bounds = afterReload
      ? { firstMs: 6 * retryMs, mostMs: mostReloadMs, jitter }
      : { firstMs: retryMs, mostMs: mostRetryMs, jitter };
    const next = new Map(this.#unchanged);
    for (const name of names) {
      const about = services.get(name)?.tried;
      if (about === undefined) continue;
      const before = this.#unchanged.get(name);
      const count = before?.about === about ? before.count + 1 : 1;
      next.set(name, { count, about, dueAt: now() + backoffMs(bounds, count, random()) });
    }
    this.#unchanged = next;
  }

  /** Drops the failures of services that are neither in quarantine nor on trial. */
  keepOnly({ services, onTrial }: Quarantine): void {
    this.#unchanged = new Map([...this.#unchanged].filter(([name]) => services.has(name) || onTrial.has(name)));
  }

  #dueInMs(waits: Waits, name: ServiceName): number {
    const now = this.#parts.now();
    return Math.max(0, (waits.get(name)?.dueAt ?? now) - now);
  }

  #refusalDueAt(count: number): number {
    const { retryMs, now } = this.#parts;
    if (count < 2) return now();
    // A balancer that tries unchanged services sooner checks new versions sooner, too.
    const bounds = {
      firstMs: Math.min(refusalWaits.firstMs, retryMs),
      mostMs: Math.min(refusalWaits.mostMs, 10 * retryMs),
    };
    return now() + backoffMs(bounds, count - 1);
  }

  #isRecent({ dueAt }: Wait): boolean {
    return this.#parts.now() < dueAt + forgottenAfterMs;
  }
}

/** Services whose newest version waits to be checked by itself. */
export const withNextVersion = ({ services }: Quarantine): readonly ServiceName[] =>
  [...services].flatMap(([name, { nextVersion }]) => (nextVersion === undefined ? [] : [name]));
