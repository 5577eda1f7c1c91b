import type { Traffic } from '../../haproxy/stat.ts';
import { type Counters, countersOf, meanLatencyMs, ratesBetween } from '../../haproxy/traffic-rates.ts';
import { Latencies } from './latencies.ts';
import { mostSteps, Ring, type Series, stepMs } from './ring.ts';

/** More services with requests than these have no history: with all of them it takes 15 MB. */
export const mostServices = 4000;

/** The last hour of a service, or of all services together. */
export type HistoryView = Series & {
  /** The length of a step in s. */
  readonly stepS: number;
  /** When the newest step ended, in seconds since 1970. */
  readonly until: number;
};

type Tracked = {
  last: Counters;
  /** Made with the first request. */
  ring: Ring | undefined;
  /** Made with the first line of the access log. */
  latencies: Latencies | undefined;
};

/** The last hour of all services, in memory. `look` is to be called once in each step. */
export class TrafficHistory {
  readonly #services = new Map<string, Tracked>();
  readonly #all = { ring: new Ring(), latencies: new Latencies() };
  #rings = 0;
  #lastMs: number | undefined;

  /** A request of the access log. */
  took(service: string, ms: number): void {
    this.#all.latencies.add(ms);
    const tracked = this.#services.get(service);
    if (tracked?.ring === undefined) return;
    tracked.latencies ??= new Latencies();
    tracked.latencies.add(ms);
  }

  /** Takes HAProxy's counts of all services. `nowMs`: monotonic. */
  look(traffic: ReadonlyMap<string, Traffic>, nowMs: number): void {
    const step = Math.floor(nowMs / stepMs);
    const seconds = (nowMs - (this.#lastMs ?? nowMs - stepMs)) / 1000;
    const isFirst = this.#lastMs === undefined;
    this.#lastMs = nowMs;
    const sum = { requestsPerS: 0, errorsPerS: 0, weighted: 0 };
    for (const [name, one] of traffic) {
      // A backend of the configuration itself, to which every request may come once more.
      if (name.startsWith('_')) continue;
      const counters = countersOf(one);
      const tracked = this.#services.get(name) ?? {
        last: { requests: 0, errors: 0 },
        ring: undefined,
        latencies: undefined,
      };
      this.#services.set(name, tracked);
      // Before the first look, HAProxy may have counted for days.
      const rates = ratesBetween(isFirst ? counters : tracked.last, counters, seconds);
      tracked.last = counters;
      const meanMs = meanLatencyMs(one);
      sum.requestsPerS += rates.requestsPerS;
      sum.errorsPerS += rates.errorsPerS;
      sum.weighted += (meanMs ?? 0) * rates.requestsPerS;
      if (one.requests > 0 && tracked.ring === undefined && this.#rings < mostServices) {
        tracked.ring = new Ring();
        this.#rings += 1;
      }
      tracked.ring?.put(step, { ...rates, meanMs, ...percentilesOf(tracked.latencies) });
      tracked.latencies?.reset();
    }
    const meanMs = sum.requestsPerS === 0 ? undefined : sum.weighted / sum.requestsPerS;
    this.#all.ring.put(step, { ...sum, meanMs, ...percentilesOf(this.#all.latencies) });
    this.#all.latencies.reset();
    this.#forget(traffic, step);
  }

  /** The last hour of a service, or of all; nothing is known of a service without requests. `wallMs` and `nowMs` are the same moment. */
  of(service: string | undefined, { nowMs, wallMs }: { readonly nowMs: number; readonly wallMs: number }): HistoryView {
    const ring = service === undefined ? this.#all.ring : (this.#services.get(service)?.ring ?? new Ring());
    const lastMs = this.#lastMs ?? nowMs;
    const until = Math.round((wallMs - (nowMs - lastMs)) / 1000);
    return { stepS: stepMs / 1000, until, ...ring.upTo(Math.floor(lastMs / stepMs)) };
  }

  /** Services that HAProxy does not have any more keep their hour. */
  #forget(traffic: ReadonlyMap<string, unknown>, step: number): void {
    for (const [name, { ring }] of this.#services) {
      if (traffic.has(name) || (ring !== undefined && ring.newest > step - mostSteps)) continue;
      this.#services.delete(name);
      if (ring !== undefined) this.#rings -= 1;
    }
  }
}

const percentilesOf = (latencies: Latencies | undefined) => ({
  p50Ms: latencies?.within(0.5),
  p95Ms: latencies?.within(0.95),
});
