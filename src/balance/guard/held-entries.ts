import type { Catalog } from '../../catalog/catalog.ts';
import { leanEvent } from '../../catalog/lean.ts';
import { heldReason, type Refusal } from '../../fleet/acknowledgement.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import { areaOfKey, parseKey, serviceOfKey } from '../../model/key.ts';
import type { ServiceName } from '../../model/name.ts';
import { applicationOf, mayHoldOwn } from '../../registry/holding/areas.ts';
import type { Holding } from '../../registry/holding/effective-registry.ts';
import { type HeldStatus, Holder } from '../../registry/holding/holder.ts';
import type { DeletionBound } from '../../registry/holding/mass-deletion.ts';
import type { Entry, RegistryEvent, Reject } from '../../registry/registry.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';

export const heldMetrics = ({ gauge }: MakeMetric) => ({
  held: gauge(
    'held_entries',
    'Held entries: the registry no longer has them, because its history was replaced or they were deleted at once, and this balancer still uses them.',
    ['area'],
  ),
});

export type HeldMetrics = ReturnType<typeof heldMetrics>;

export type HeldEntriesParts = LogAndClock & {
  /** How long entries are held, in ms; undefined: until somebody releases them. */
  readonly holdMs: number | undefined;
  readonly deletions: DeletionBound;
  /** Refuses values that are not kept. */
  readonly reject: Reject;
  readonly metrics: HeldMetrics;
  readonly wall: () => Date;
  readonly onEvent: (event: RegistryEvent) => void;
  /** Called when the held entries change; `more`: there are new ones among them. */
  readonly onChange: (more: boolean) => void;
};

const areas = ['instances', 'services', 'overrides', 'claims', 'keys', 'certificates'] as const;

type InstancesHeld = {
  readonly of: Holding['held'];
  readonly byService: ReadonlyMap<string, number>;
  readonly refusals: readonly Refusal[];
};

/** The held entries of the registry that a balancer follows. */
export class HeldEntries {
  readonly #parts: HeldEntriesParts;
  readonly holder: Holder;
  /** Made on demand: a balancer may acknowledge 20 times a second, and thousands of instances may return one by one. */
  #instances: InstancesHeld | undefined;

  constructor(parts: HeldEntriesParts) {
    this.#parts = parts;
    const { holdMs, deletions, logger, now, wall, onEvent, onChange } = parts;
    let size = 0;
    this.holder = new Holder({
      ...{ logger, now, wall, onEvent },
      policy: { holdMs, deletions, mayHold: mayHoldOwn, standsFor: applicationOf },
      what: 'the registry',
      onChange: (held) => {
        const more = held.size > size;
        size = held.size;
        onChange(more);
      },
    });
    this.#countAreas();
  }

  /** Whether the health check of a held instance decides how long it is held. */
  get holding(): boolean {
    return this.holder.held.some(isLeasedInstance);
  }
  instancesOf(service: ServiceName): number {
    return this.#instancesHeld().byService.get(service) ?? 0;
  }

  take(event: RegistryEvent): void {
    this.holder.take(leanEvent(event, this.#parts.reject));
  }

  /** The event that the balancer would get for this one, and the keys that would be held since. Changes nothing. */
  preview(event: RegistryEvent): ReturnType<Holder['preview']> {
    return this.holder.preview(leanEvent(event, this.#parts.reject));
  }

  /** The entries of these areas, held ones included. */
  entriesOf(some: readonly string[]): readonly Entry[] {
    return this.holder.entries
      .valueSeq()
      .filter(({ key }) => some.includes(areaOfKey(key)))
      .toArray();
  }

  /** Lets go of instances under a lease whose health check fails. */
  observe({ servers }: RunningState): void {
    const failed = this.#leased().filter((key) => {
      const subject = parseKey(key);
      if (!subject.ok || subject.value.kind !== 'instance') return false;
      const server = servers.get(subject.value.service)?.get(subject.value.id);
      return server !== undefined && !server.up && !server.disabled;
    });
    if (failed.length > 0) this.holder.letGo(failed, 'check-failed');
  }

  /** Lets go of overrides that have ended: the catalog has their entries, and they are not in force. */
  dropEndedOverrides({ accepted, overrides }: Catalog): void {
    const ended = this.holder.held.keySeq().filter((key) => {
      if (areaOfKey(key) !== 'overrides') return false;
      const subject = parseKey(key);
      if (!subject.ok || subject.value.kind !== 'override') return false;
      const { service, scope } = subject.value;
      return accepted.has(key) && overrides.get(service)?.has(scope) !== true;
    });
    this.holder.letGo(ended.toArray(), 'override-ended');
  }

  /** Sets the gauges, too. */
  status(): readonly HeldStatus[] {
    this.#countAreas();
    return this.holder.status();
  }

  /**
   * The held instances, with the reason that `wait --gone` shows for each of them, and a few of the held policies, for those who
   * have removed them.
   */
  refusals(): readonly Refusal[] {
    return this.#instancesHeld().refusals;
  }

  #instancesHeld(): InstancesHeld {
    const { held } = this.holder;
    if (this.#instances?.of !== held) {
      const instances = held.valueSeq().filter(isInstance);
      const byService = new Map(instances.countBy(({ key }) => serviceOfKey(key) ?? ''));
      const policies = held.valueSeq().filter(isPolicy).take(mostPolicies);
      // A held instance may come back, or fail its check, which ends its hold.
      const refusals = policies
        .concat(instances)
        .map(
          (entry): Refusal => ({
            key: entry.key,
            reason: heldReason,
            final: this.#parts.holdMs === undefined && isPolicy(entry),
          }),
        )
        .toArray();
      this.#instances = { of: held, byService, refusals };
    }
    return this.#instances;
  }

  #leased(): readonly string[] {
    return this.holder.held
      .valueSeq()
      .filter(isLeasedInstance)
      .map(({ key }) => key)
      .toArray();
  }

  #countAreas(): void {
    const counts = this.holder.held.countBy(({ key }) => areaOfKey(key));
    for (const area of areas) this.#parts.metrics.held.set({ area }, counts.get(area) ?? 0);
  }
}

/** Policies have no part in a wait for an instance, so they take little of the room for refusals. */
const mostPolicies = 5;

const isPolicy = ({ key }: Entry): boolean => areaOfKey(key) === 'services';
const isInstance = ({ key }: Entry): boolean => areaOfKey(key) === 'instances';
const isLeasedInstance = (entry: Entry): boolean => entry.leased && isInstance(entry);
