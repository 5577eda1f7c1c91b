import type { Logger } from 'pino';
import { emptyFleet, type FleetView, foldFleet } from '../../fleet/fleet-view.ts';
import {
  formatRateCounts,
  isRateCountsKey,
  parseRateCounts,
  type RateCounts,
  rateCountsKey,
} from '../../fleet/rate-counts.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe } from '../../model/fault.ts';
import { type Follower, fleetKeys, type Registry, type RegistryEvent, type Session } from '../../registry/registry.ts';
import { timeLimit } from '../../waiting/time-limit.ts';

export type FleetCountsParts = {
  readonly registry: Registry;
  readonly id: string;
  /** Distinguishes this balancer from others with the same id. */
  readonly owner: string;
  readonly logger: Logger;
  /** The number of balancers changed. */
  readonly onChange: () => void;
};

// A balancer that died keeps its share for so long.
const ttlMs = 10_000;
const writeMs = 2000;

/** The live balancers and their counts, and the entry with the counts of this one. Follows the registry from `open` to `close`. */
export class FleetCounts {
  readonly #parts: FleetCountsParts;
  readonly #key: string;
  readonly #reasons = new OncePerReason();
  readonly #others = new Map<string, RateCounts>();
  #follower: Follower | undefined;
  #session: Session | undefined;
  #view: FleetView = emptyFleet;
  /** The value in the registry. */
  #told: string | undefined;
  #telling: Promise<void> | undefined;

  constructor(parts: FleetCountsParts) {
    this.#parts = parts;
    this.#key = rateCountsKey(parts.id, parts.owner);
  }

  /** How many balancers live; undefined before the registry has answered. While the registry is unavailable: as many as before. */
  get balancers(): number | undefined {
    return this.#view.cluster === undefined ? undefined : Math.max(1, this.#view.balancers.size);
  }

  get others(): readonly RateCounts[] {
    return [...this.#others.values()];
  }

  open(): void {
    this.#follower ??= this.#parts.registry.follow((event) => this.#take(event), fleetKeys);
  }

  /** Writes the counts of this balancer if they changed. Does not wait, and does nothing while a write is under way. */
  tell(counts: RateCounts): void {
    const value = counts.size === 0 ? undefined : formatRateCounts(counts);
    if (value === this.#told || this.#telling !== undefined) return;
    this.#telling = this.#write(value).finally(() => {
      this.#telling = undefined;
    });
  }

  async #write(value: string | undefined): Promise<void> {
    const { registry, logger } = this.#parts;
    this.#session ??= registry.openSession({ ttlMs, mayReplace: () => true, onEvent: () => undefined });
    const signal = timeLimit(writeMs);
    try {
      if (value === undefined) await this.#session.remove(this.#key, signal);
      else await this.#session.put(this.#key, value, signal);
      this.#told = value;
      this.#reasons.isNew('write', undefined);
    } catch (error) {
      const reason = describe(error);
      if (!this.#reasons.isNew('write', reason)) return;
      const text = `the other balancers do not learn the counts of this one, so limits of the fleet are divided equally: ${reason}`;
      logger.warn({ event: 'rates-untold', key: this.#key, reason }, text);
    }
  }

  /** Removes the counts of this balancer and follows no longer. */
  async close(): Promise<void> {
    await this.#telling;
    const [follower, session] = [this.#follower, this.#session];
    this.#follower = undefined;
    this.#session = undefined;
    this.#told = undefined;
    this.#view = emptyFleet;
    this.#others.clear();
    await Promise.all([follower?.close(), session?.close(timeLimit(writeMs))]);
  }

  #take(event: RegistryEvent): void {
    const before = this.balancers;
    this.#view = foldFleet(this.#view, event);
    if (event.kind === 'snapshot') {
      this.#others.clear();
      for (const { key, value } of event.entries.values()) this.#put(key, value);
    } else if (event.kind === 'changes') {
      for (const change of event.changes) {
        if (change.kind === 'put') this.#put(change.entry.key, change.entry.value);
        else this.#others.delete(change.key);
      }
    }
    if (this.balancers !== before) this.#parts.onChange();
  }

  #put(key: string, value: string): void {
    if (!isRateCountsKey(key) || key === this.#key) return;
    const counts = parseRateCounts(value);
    if (counts.ok) this.#others.set(key, counts.value);
    else this.#others.delete(key);
  }
}
