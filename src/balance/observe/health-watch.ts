import { type HealthChange, healthChanges, type KnownHealth } from '../../haproxy/health-change.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describe } from '../../model/fault.ts';
import type { LogAndClock } from './log-and-clock.ts';

type HealthWatchParts = LogAndClock & {
  readonly link: Pick<RuntimeLink, 'connected' | 'serverStates' | 'serverTraffic'>;
  readonly onChange: (change: HealthChange) => void;
};

/** Between two questions, in ms; at least so many times as long as the last answer took, because a worker has other work. */
const pace = { leastMs: 2000, times: 50 };
/** How many services one look asks for the results of their checks. Changes of further services have no reason. */
const mostAsked = 10;

/** Asks an HAProxy whose output others read how its servers are, and reports what changed. */
export class HealthWatch {
  readonly #parts: HealthWatchParts;
  #known: KnownHealth = new Map();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: HealthWatchParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.#arm(pace.leastMs);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#look(), ms).unref();
  }

  async #look(): Promise<void> {
    const { link, now, logger } = this.#parts;
    const began = now();
    try {
      if (link.connected) await this.#compare();
    } catch (error) {
      logger.debug({ event: 'server-states-unknown', reason: describe(error) }, 'asked again later');
    }
    this.#arm(Math.max(pace.leastMs, (now() - began) * pace.times));
  }

  async #compare(): Promise<void> {
    const { link, onChange, logger } = this.#parts;
    const { known, changes } = healthChanges(this.#known, await link.serverStates());
    if (known.size !== this.#known.size) logger.debug({ event: 'health-watched', servers: known.size });
    this.#known = known;
    const asked = new Map<string, Awaited<ReturnType<RuntimeLink['serverTraffic']>>>();
    for (const { to, service } of changes) {
      if (to === 'up' || asked.has(service) || asked.size >= mostAsked) continue;
      asked.set(service, await link.serverTraffic(service).catch(() => new Map()));
    }
    for (const change of changes) {
      const traffic = asked.get(change.service)?.get(change.id);
      const result = traffic === undefined ? undefined : `${traffic.check} ${traffic.checkDetail}`.trim();
      onChange({ ...change, result: result === '' ? undefined : result });
    }
  }
}
