import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { forgottenServices } from '../../catalog/remembering.ts';
import { type Acknowledgement, formatAcknowledgement, type Refusal, tellFairly } from '../../fleet/acknowledgement.ts';
import type { DirtySet } from '../../model/dirty-set.ts';
import { noRevision, type Revision } from '../../model/revision.ts';
import type { Registry, RegistryEvent } from '../../registry/registry.ts';
import { deferred } from '../../waiting/deferred.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import type { ServingObserver, Shortfall } from '../observe/serving-observer.ts';
import { AcknowledgePace } from './acknowledge-pace.ts';
import type { Draining } from './draining.ts';
import { FleetKey } from './fleet-key.ts';

export type AcknowledgingParts = {
  readonly registry: Registry;
  readonly id: string;
  readonly owner: string;
  readonly about: () => Pick<Acknowledgement, 'version' | 'haproxyVersion' | 'admin'>;
  /** Names the configuration: see Acknowledgement. */
  readonly config: () => string;
  readonly draining: Draining;
  /** Servers that get no requests because they have not passed a check yet. */
  readonly unproven: () => Acknowledgement['unproven'];
  /** Instances that are served although the registry has them no more. */
  readonly held: () => readonly Refusal[];
  /** The same, because the registry's history was replaced. There may be many. */
  readonly heldEntries: () => readonly Refusal[];
  /** Whether HAProxy's worker is this one, which was given what is acknowledged. Has it looked at if not. */
  readonly isCurrent: (workerPid: number) => Promise<boolean>;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

/** How far HAProxy serves a catalog: whole, but for the shortfall. */
type Settled = { readonly catalog: Catalog; readonly shortfall: Shortfall; readonly workerPid: number };

const noShortfall: Shortfall = { refused: [], unrouted: new Map() };

type Reached = { readonly revision: Revision; readonly cluster: string };

/** Whether others can hear from this balancer what it serves. */
export type AcknowledgingStatus =
  | { readonly state: 'nothing-yet' }
  | {
      readonly state: 'acknowledging';
      readonly revision: string;
      /** Who has this balancer's id, while it acknowledges beside that one. */
      readonly beside?: string;
    }
  /** Nobody who waits for this balancer will see it serve. */
  | { readonly state: 'refused'; readonly reason: string };

/** How long an acknowledgement waits for the first counts of servers that drain. */
const countMs = 50;
const retryMs = 2000;

/**
 * Says in the registry what HAProxy serves, for those who wait for it. One for every change that somebody may wait for,
 * also where nothing had to be done; none for what only the registry's clock says.
 */
export class Acknowledging implements ServingObserver {
  readonly #parts: AcknowledgingParts;
  readonly #closing = new AbortController();
  readonly #key: FleetKey;
  readonly #known = deferred();
  readonly #pace: AcknowledgePace;
  /** The newest change that somebody may wait for. */
  #heard: Reached | undefined;
  /** When the oldest change came in that was not acknowledged yet. */
  #unsaidSince: number | undefined;
  #cluster = '';
  /** While it is not, the outage is told elsewhere. */
  #connected = false;
  #settled: Settled | undefined;
  #reached: Reached | undefined;
  /** Something is to be said that was not yet. */
  #dirty = false;
  #said: { readonly text: string; readonly reached: Reached } | undefined;
  #nextAt = 0;
  #rejections: { readonly of: Catalog['rejected']; readonly newest: readonly Refusal[] } = {
    of: emptyCatalog.rejected,
    newest: [],
  };
  #running: Promise<void> | undefined;
  #again = false;

  constructor(parts: AcknowledgingParts) {
    this.#parts = parts;
    this.#pace = new AcknowledgePace({ ...parts, signal: this.#closing.signal });
    this.#key = new FleetKey({
      ...parts,
      onDue: () => {
        this.#said = undefined;
        this.#dirty = true;
        this.#wake();
      },
    });
  }

  /** Has others wait for this balancer, before it serves anything. */
  begin(): void {
    this.#reached = { revision: noRevision, cluster: this.#cluster };
    this.#dirty = true;
    this.#wake();
  }

  /**
   * Resolves when others know that they have to wait for this balancer, or when the registry refuses that, and after
   * `longestMs` in any case.
   */
  async known(longestMs: number): Promise<void> {
    await Promise.race([this.#known.promise, pause(longestMs, undefined, { ref: false })]);
  }

  /** The registry said something; told to the balancer as well. */
  onEvent(event: RegistryEvent): void {
    if (event.kind === 'connected' || event.kind === 'disconnected') this.#connected = event.kind === 'connected';
    if (event.kind !== 'snapshot' && event.kind !== 'changes') return;
    if (event.kind === 'snapshot') this.#cluster = event.cluster;
    const first = this.#heard === undefined;
    this.#heard = { revision: event.revision, cluster: this.#cluster };
    this.#unsaidSince ??= this.#parts.now();
    if (first) this.#reached = { revision: noRevision, cluster: this.#cluster };
  }

  /** HAProxy was given these. */
  onApplied(changed: DirtySet, catalog: Catalog): void {
    this.#parts.draining.onApplied(changed, catalog);
  }

  /** HAProxy serves this, and everything that can be done for it is done. */
  onServed(catalog: Catalog, shortfall: Shortfall, workerPid: number): void {
    const { revision, cluster } = catalog;
    const before = this.#settled;
    this.#settled = { catalog, shortfall, workerPid };
    // Served from the disk, or from before the registry's data was replaced: nobody can wait for that.
    if (this.#heard === undefined || cluster !== this.#heard.cluster) return;
    const reached = { revision: revision < this.#heard.revision ? revision : this.#heard.revision, cluster };
    const same = this.#reached?.revision === reached.revision && this.#reached.cluster === cluster;
    this.#reached = reached;
    if (!same || !sameShortfall(shortfall, before?.shortfall ?? noShortfall)) this.#dirty = true;
    if (this.#dirty) this.#wake();
  }

  /** A count of open requests changed. */
  changed(): void {
    if (this.#reached === undefined) return;
    this.#dirty = true;
    this.#wake();
  }

  get trouble(): string | undefined {
    return this.#key.refused ?? (this.#connected ? this.#key.unwritable : undefined);
  }

  status(): AcknowledgingStatus {
    const { trouble } = this;
    if (trouble !== undefined) return { state: 'refused', reason: trouble };
    const revision = this.#said?.reached.revision ?? noRevision;
    if (revision === noRevision) return { state: 'nothing-yet' };
    const { beside } = this.#key;
    return { state: 'acknowledging', revision: String(revision), ...(beside === undefined ? {} : { beside }) };
  }

  /**
   * Takes the key away at once, or leaves it to its lease, which is a longer one for a successor. To be called when HAProxy
   * has ended, or was left: as long as it serves, its requests are waited for.
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
    const { now, isCurrent } = this.#parts;
    const { signal } = this.#closing;
    while (this.#dirty && !signal.aborted) {
      try {
        await pause(Math.max(0, this.#nextAt - now()), undefined, { signal });
        if (this.#settled !== undefined) await this.#counted();
        // What settles while the worker is asked about may have been given to another worker: that needs an answer of its own.
        const [reached, settled] = [this.#reached, this.#settled];
        this.#dirty = false;
        // Where it is not, the balancer looks at the new worker, and tells when that one serves what this one did.
        if (settled !== undefined && !(await isCurrent(settled.workerPid))) {
          this.#dirty = true;
          return;
        }
        const wanted = settled ?? { catalog: emptyCatalog, shortfall: noShortfall };
        const saying = reached === undefined ? Promise.resolve() : this.#say(reached, wanted);
        await saying.finally(() => this.#known.resolve());
      } catch {
        // The key's owner has said why.
        if (signal.aborted) return;
        this.#dirty = true;
        await pause(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Until each server that drains was counted, or for long enough. */
  async #counted(): Promise<void> {
    const { draining, now } = this.#parts;
    const patientUntil = now() + countMs;
    while (!draining.counted && now() < patientUntil) await pause(1, undefined, { signal: this.#closing.signal });
  }

  async #say(reached: Reached, settled: Pick<Settled, 'catalog' | 'shortfall'>): Promise<void> {
    const { now, wall, metrics, logger } = this.#parts;
    const acknowledgement = this.#compose(reached, settled);
    const text = formatAcknowledgement({ ...acknowledgement, appliedAt: '' });
    if (text === this.#said?.text) return;
    this.#nextAt = now() + this.#pace.next();
    const value = formatAcknowledgement({ ...acknowledgement, appliedAt: wall().toISOString() });
    await this.#key.put(value, this.#closing.signal);
    this.#said = { text, reached };
    this.#pace.count();
    metrics.acknowledgements.inc();
    metrics.revisionAcknowledged.set(Number(reached.revision));
    if (this.#unsaidSince !== undefined && reached.revision === this.#heard?.revision) {
      metrics.acknowledgeSeconds.observe((now() - this.#unsaidSince) / 1000);
      this.#unsaidSince = undefined;
    }
    logger.debug({ event: 'acknowledged', revision: String(reached.revision) }, 'acknowledged');
  }

  #compose(
    { revision, cluster }: Reached,
    { catalog, shortfall }: Pick<Settled, 'catalog' | 'shortfall'>,
  ): Acknowledgement {
    const { owner, about, config, draining, unproven, held, heldEntries } = this.#parts;
    const all = [...shortfall.refused, ...held(), ...this.#newestRejected(catalog), ...heldEntries()];
    const { refusals, untold } = tellFairly(all);
    // The catalog itself does not remember all of these.
    const forgotten = forgottenServices(catalog).map((service) => [service, (untold.get(service) ?? 0) + 1] as const);
    return {
      ...about(),
      revision,
      cluster,
      owner,
      config: config(),
      appliedAt: '',
      draining: draining.counts,
      unproven: unproven(),
      unrouted: shortfall.unrouted,
      refusals,
      untold: new Map([...untold, ...forgotten]),
      unlisted: new Map(),
    };
  }

  /** Whoever waits has written a moment ago. Sorted anew only when there are others: there may be 10,000. */
  #newestRejected({ rejected }: Catalog): readonly Refusal[] {
    if (this.#rejections.of !== rejected) {
      const newestFirst = [...rejected.values()].sort((a, b) => (a.revision < b.revision ? 1 : -1));
      const newest = newestFirst.map(({ key, reason, lastGoodServes }) => ({ key, reason, absent: !lastGoodServes }));
      this.#rejections = { of: rejected, newest };
    }
    return this.#rejections.newest;
  }
}

const sameShortfall = (one: Shortfall, other: Shortfall): boolean =>
  sameRefusals(one.refused, other.refused) &&
  one.unrouted.size === other.unrouted.size &&
  [...one.unrouted].every(([service, reason]) => other.unrouted.get(service) === reason);

const sameRefusals = (one: readonly Refusal[], other: readonly Refusal[]): boolean =>
  one.length === other.length &&
  one.every((refusal, i) => {
    const beside = other[i];
    return refusal.key === beside?.key && refusal.reason === beside.reason && refusal.absent === beside.absent;
  });
