import { areaOfKey, serviceOfKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import type { Backoff } from '../../waiting/backoff.ts';
import { dueNow, failedAgain, nextDueMs, onlyThese, type RetryPace } from '../reload/retry-pace.ts';
import type { Candidate, Quarantine } from './quarantine.ts';
import {
  acceptedAlone,
  checkedAlone,
  dueInMs,
  noRefusals,
  type RecentRefusals,
  refusalWaits,
  refusedAgain,
} from './refusals.ts';

export type RetryScheduleParts = {
  /** The first wait before a service in quarantine is tried again, in ms. */
  readonly probeMs: number;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
};

const mostProbeMs = 300_000;
const mostReloadMs = 3_600_000;

/**
 * When services in quarantine are tried again. A service that has not changed waits longer with each failure. The newest version of
 * a service whose versions were refused lately is checked by itself, and waits longer with each refusal.
 */
export class RetrySchedule {
  readonly #parts: RetryScheduleParts;
  readonly #waits: Backoff;
  #pace: RetryPace = new Map();
  #refusals: RecentRefusals = noRefusals;

  constructor(parts: RetryScheduleParts) {
    this.#parts = parts;
    const { probeMs } = parts;
    // A balancer that tries unchanged services sooner checks new versions sooner, too.
    this.#waits = {
      firstMs: Math.min(refusalWaits.firstMs, probeMs),
      mostMs: Math.min(refusalWaits.mostMs, 10 * probeMs),
    };
  }

  /** Milliseconds until a service is to be tried again; undefined: none is in quarantine. */
  nextMs(quarantine: Quarantine): number | undefined {
    const now = this.#parts.now();
    const newVersions = withNextVersion(quarantine).map((name) => dueInMs(this.#refusals, name, now));
    const unchanged = nextDueMs(this.#pace, withoutNextVersion(quarantine), now);
    return newVersions.length === 0 ? unchanged : Math.min(...newVersions, unchanged ?? Number.POSITIVE_INFINITY);
  }

  /** A service whose newest version is to be checked by itself now. */
  dueNewVersion(quarantine: Quarantine): ServiceName | undefined {
    const now = this.#parts.now();
    return withNextVersion(quarantine).find((name) => dueInMs(this.#refusals, name, now) === 0);
  }

  /** Unchanged services that are to be tried again now. */
  dueUnchanged(quarantine: Quarantine): ReadonlySet<ServiceName> {
    return dueNow(this.#pace, withoutNextVersion(quarantine), this.#parts.now());
  }

  /** The services whose next version has to be checked by itself, each with the reason. */
  get alone(): ReadonlyMap<ServiceName, string> {
    return checkedAlone(this.#refusals, this.#parts.now());
  }

  /** Counts a refusal of each service among the offenders. */
  refused(offenders: ReadonlyMap<Candidate, string>): void {
    const reasons = new Map(
      [...offenders].flatMap(([key, reason]) =>
        areaOfKey(key) === 'services' ? [[serviceOfKey(key) as ServiceName, reason] as const] : [],
      ),
    );
    this.#refusals = refusedAgain(this.#refusals, reasons, this.#waits, this.#parts.now());
  }

  acceptedAlone(name: ServiceName): void {
    this.#refusals = acceptedAlone(this.#refusals, name, this.#waits, this.#parts.now());
  }

  /**
   * Counts a failure of each service. `afterReload`: only another reload shows whether HAProxy accepts them, and one that fails may
   * harm other services, so they wait longer.
   */
  failedAgain({ services }: Quarantine, names: Iterable<ServiceName>, afterReload = false): void {
    const { probeMs, now, random = Math.random } = this.#parts;
    const failed = [...names].flatMap((name) => {
      const tried = services.get(name)?.tried;
      return tried === undefined ? [] : [[name, tried] as const];
    });
    const bounds = afterReload
      ? { firstMs: 6 * probeMs, mostMs: mostReloadMs }
      : { firstMs: probeMs, mostMs: mostProbeMs };
    this.#pace = failedAgain(this.#pace, failed, bounds, { now: now(), random });
  }

  /** Drops the failures of services that are neither in quarantine nor on trial. */
  keepOnly({ services, onTrial }: Quarantine): void {
    if (this.#pace.size > 0) this.#pace = onlyThese(this.#pace, new Set([...services.keys(), ...onTrial.keys()]));
  }
}

/** Services whose newest version waits to be checked by itself. */
export const withNextVersion = ({ services }: Quarantine): readonly ServiceName[] =>
  [...services].flatMap(([name, { nextVersion }]) => (nextVersion === undefined ? [] : [name]));

const withoutNextVersion = ({ services }: Quarantine): readonly ServiceName[] =>
  [...services].flatMap(([name, { nextVersion }]) => (nextVersion === undefined ? [name] : []));
