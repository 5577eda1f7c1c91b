import { setTimeout as pause } from 'node:timers/promises';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { formatAcknowledgement } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { noRevision } from '../../model/revision.ts';
import type { RegistryEvent } from '../../registry/registry.ts';
import { deferred } from '../../waiting/deferred.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import type { ServingObserver, Shortfall } from '../observe/serving-observer.ts';
import { AcknowledgePace } from './acknowledge-pace.ts';
import {
  type AcknowledgementState,
  afterEvent,
  afterServed,
  begun,
  noShortfall,
  type Reached,
  type Served,
} from './acknowledgement-state.ts';
import { type AcknowledgementSources, acknowledgementComposer } from './compose-acknowledgement.ts';
import type { Draining } from './draining.ts';
import { FleetKey, type FleetKeyParts } from './fleet-key.ts';

export type AcknowledgingParts = AcknowledgementSources &
  LogAndClock &
  Omit<FleetKeyParts, 'onDue'> & {
    readonly draining: Draining;
    /** Whether this is HAProxy's worker still. If not, the balancer looks at the new worker. */
    readonly isCurrent: (workerPid: number) => Promise<boolean>;
    readonly wall: () => Date;
  };

/** Whether this balancer acknowledges. */
export type AcknowledgingStatus =
  | { readonly state: 'nothing-yet' }
  | {
      readonly state: 'acknowledging';
      readonly revision: string;
      /** The balancer that has the same id, while this one acknowledges next to it. */
      readonly beside?: string;
    }
  /** Clients cannot wait for this balancer. */
  | { readonly state: 'refused'; readonly reason: string };

/** The longest that an acknowledgement waits for the first counts of draining servers. */
const countMs = 50;
const retryMs = 2000;

/**
 * Writes to the registry what HAProxy serves, for clients that wait for it. It acknowledges each change that somebody may wait for,
 * also a change that HAProxy needs no step for, but not the mere progress of the registry's revision.
 */
export class Acknowledging implements ServingObserver {
  readonly #parts: AcknowledgingParts;
  readonly #closing = new AbortController();
  readonly #key: FleetKey;
  readonly #pace: AcknowledgePace;
  readonly #compose: ReturnType<typeof acknowledgementComposer>;
  /** Resolves after the first acknowledgement. */
  readonly #known = deferred();
  #state: AcknowledgementState = { cluster: '' };
  /** While the registry is not connected, the balancer reports that outage. */
  #connected = false;
  /** There is something to acknowledge. */
  #dirty = false;
  #last: { readonly text: string; readonly reached: Reached } | undefined;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(parts: AcknowledgingParts) {
    const { registry, id, owner, metrics, logger, now } = parts;
    this.#parts = parts;
    this.#compose = acknowledgementComposer(parts);
    this.#pace = new AcknowledgePace({ registry, now, signal: this.#closing.signal });
    const onDue = () => {
      this.#last = undefined;
      this.#dirty = true;
      this.#wake();
    };
    this.#key = new FleetKey({ registry, id, owner, metrics, logger, onDue });
  }

  /** Makes others wait for this balancer, before it serves anything. */
  begin(): void {
    this.#state = begun(this.#state);
    this.#dirty = true;
    this.#wake();
  }

  /** Resolves when others know of this balancer, when the registry refuses that, and after `longestMs` in any case. */
  async known(longestMs: number): Promise<void> {
    await Promise.race([this.#known.promise, pause(longestMs, undefined, { ref: false })]);
  }

  /** To be called with each event that the balancer gets. */
  onEvent(event: RegistryEvent): void {
    if (event.kind === 'connected' || event.kind === 'disconnected') this.#connected = event.kind === 'connected';
    this.#state = afterEvent(this.#state, event, this.#parts.now());
  }

  onApplied(changed: DirtySet, catalog: Catalog): void {
    this.#parts.draining.onApplied(changed, catalog);
  }

  onServed(catalog: Catalog, shortfall: Shortfall, workerPid: number): void {
    const { state, due } = afterServed(this.#state, { catalog, shortfall, workerPid });
    this.#state = state;
    if (due === undefined) return;
    if (due) this.#dirty = true;
    if (this.#dirty) this.#wake();
  }

  /** A count of open requests changed. */
  changed(): void {
    if (this.#state.reached === undefined) return;
    this.#dirty = true;
    this.#wake();
  }

  get trouble(): string | undefined {
    return this.#key.refused ?? (this.#connected ? this.#key.unwritable : undefined);
  }

  /** The open requests of the instances that drain, by `service/instance`. */
  get openRequests(): Draining['counts'] {
    return this.#parts.draining.counts;
  }

  status(): AcknowledgingStatus {
    const { trouble } = this;
    if (trouble !== undefined) return { state: 'refused', reason: trouble };
    const { beside } = this.#key;
    const revision = this.#last?.reached.revision ?? noRevision;
    if (revision === noRevision) return { state: 'nothing-yet' };
    return { state: 'acknowledging', revision: String(revision), ...(beside === undefined ? {} : { beside }) };
  }

  /**
   * Removes the key, or leaves it to its lease, which is longer for a successor. To be called after HAProxy has ended or was left to
   * a successor: others wait for its requests as long as it serves.
   */
  async close(key: 'remove' | 'leave' | 'successor' = 'remove'): Promise<void> {
    this.#parts.draining.close();
    this.#closing.abort();
    await this.#running;
    await this.#pace.close();
    if (key === 'remove') await this.#key.close();
    else await this.#key.leave(key === 'successor');
  }

  #wake(): void {
    if (this.#closing.signal.aborted) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#wake();
    });
  }

  async #run(): Promise<void> {
    const { isCurrent } = this.#parts;
    const { signal } = this.#closing;
    while (this.#dirty && !signal.aborted) {
      try {
        await pause(this.#pace.waitMs, undefined, { signal });
        if (this.#state.served !== undefined) await this.#counted();
        // If HAProxy starts to serve another catalog while the master is asked, ask again: another worker may serve that one.
        const { reached, served } = this.#state;
        this.#dirty = false;
        // If not, `onServed` is called when the new worker serves the catalog.
        if (served !== undefined && !(await isCurrent(served.workerPid))) {
          this.#dirty = true;
          return;
        }
        const wanted = served ?? { catalog: emptyCatalog, shortfall: noShortfall };
        const written = reached === undefined ? Promise.resolve() : this.#write(reached, wanted);
        await written.finally(() => this.#known.resolve());
      } catch {
        // The key has logged the reason.
        if (signal.aborted) return;
        this.#dirty = true;
        await pause(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Waits until each draining server was counted, or for `countMs`. */
  async #counted(): Promise<void> {
    const { draining, now } = this.#parts;
    const until = now() + countMs;
    while (!draining.counted && now() < until) await pause(1, undefined, { signal: this.#closing.signal });
  }

  async #write(reached: Reached, served: Pick<Served, 'catalog' | 'shortfall'>): Promise<void> {
    const { now, wall, metrics, logger } = this.#parts;
    const acknowledgement = this.#compose(reached, served);
    const text = formatAcknowledgement(acknowledgement);
    if (text === this.#last?.text) return;
    this.#pace.begin();
    const value = formatAcknowledgement({ ...acknowledgement, appliedAt: wall().toISOString() });
    await this.#key.put(value, this.#closing.signal);
    this.#last = { text, reached };
    this.#pace.count();
    metrics.acknowledgements.inc();
    metrics.revisionAcknowledged.set(Number(reached.revision));
    const { since, newest } = this.#state;
    if (since !== undefined && reached.revision === newest?.revision) {
      metrics.acknowledgeSeconds.observe((now() - since) / 1000);
      this.#state = { ...this.#state, since: undefined };
    }
    logger.debug({ event: 'acknowledged', revision: String(reached.revision) }, 'acknowledged');
  }
}
