import { type Catalog, emptyCatalog, type Folded } from '../../catalog/catalog.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { MakeMetric } from '../../metrics/make-metric.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Release } from '../../registry/releases.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';
import {
  emptyGuard,
  type Guard,
  type GuardEvent,
  type GuardPolicy,
  type GuardTransition,
  nextDeadline,
  stepGuard,
} from './guard.ts';
import type { GuardedInstances } from './guarded-instances-file.ts';
import { guardEvents, guardedCatalog, isTakenOut, overridesOfGuarded } from './losses.ts';

export const guardMetrics = ({ gauge }: MakeMetric) => ({
  guardHeld: gauge(
    'guard_held_instances',
    'Guarded instances: the registry lost many at once, and this balancer still serves them.',
    ['service'],
  ),
});

export type GuardingParts = LogAndClock & {
  readonly policy: GuardPolicy;
  readonly metrics: ReturnType<typeof guardMetrics>;
  /** Gets each instance that is guarded since, or not any more. */
  readonly onChange: (service: ServiceName, id: InstanceId) => void;
  /** Gets a function that returns all guarded instances, each time that they change. */
  readonly onGuarded?: (newest: () => readonly GuardedInstances[]) => void;
};

/** A guarded service, for `/status`. */
export type GuardedStatus = {
  readonly service: string;
  readonly instances: readonly string[];
  readonly lost: number;
  readonly of: number;
  readonly endsInMs: number;
};

/** Drives the mass-loss guard: steps it with events and in time, and logs and counts its transitions. */
export class Guarding {
  readonly #parts: GuardingParts;
  #guard: Guard;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #answered: { readonly of: Catalog; readonly guard: Guard; readonly catalog: Catalog };

  constructor(parts: GuardingParts) {
    this.#parts = parts;
    this.#guard = emptyGuard(parts.policy);
    this.#answered = { of: emptyCatalog, guard: this.#guard, catalog: emptyCatalog };
  }

  get holding(): boolean {
    return !this.#guard.guarded.isEmpty();
  }

  fold(folded: Folded): void {
    const { catalog } = folded;
    this.#step(guardEvents(folded, (service, id) => isTakenOut(catalog, service, id)));
    for (const { service, out, others } of overridesOfGuarded(folded, this.#guard)) {
      const found = catalog.services.get(service);
      const [present, settings] = [found?.instances.size ?? 0, found?.policy.guard ?? {}];
      if (out.length > 0)
        this.#step([{ kind: 'changed', service, settings, present, expired: [], left: out, put: [] }]);
      for (const id of others) this.#parts.onChange(service, id);
    }
  }

  /** Lets go of guarded instances whose health check fails. */
  observe({ servers }: RunningState): void {
    const failing: GuardEvent[] = [];
    for (const [service, { instances }] of this.#guard.guarded) {
      for (const id of instances.keys()) {
        const server = servers.get(service)?.get(id);
        if (server !== undefined && !server.up) failing.push({ kind: 'checked', service, id, passes: false });
      }
    }
    if (failing.length > 0) this.#step(failing);
  }

  /** An operator confirms that the losses of a service, or of all services, are real. */
  release(release: Release): void {
    const services = release === '*' ? [...this.#guard.guarded.keys()] : [release];
    this.#step(services.map((service) => ({ kind: 'release', service })));
  }

  /**
   * Guards the instances that the process before this one guarded, except those that are registered again. If the clock was set
   * back meanwhile, they are guarded no longer than instances that are lost now.
   */
  resume(before: readonly GuardedInstances[], { services }: Catalog): void {
    for (const guarded of before) {
      const service = services.get(guarded.service);
      const instances = guarded.instances.filter(({ id }) => service?.registered.has(id) !== true);
      const { holdMs } = { ...this.#parts.policy, ...service?.policy.guard };
      const remainingMs = Math.min(guarded.remainingMs, holdMs);
      if (instances.length > 0) this.#step([{ kind: 'resume', ...guarded, remainingMs, instances }]);
    }
  }

  /** The stage `guarded` of the effective catalog. */
  guarded(catalog: Catalog): Catalog {
    // Each round calls it several times, and with many guarded instances it is expensive.
    const { of, guard } = this.#answered;
    if (of !== catalog || guard !== this.#guard) {
      this.#answered = { of: catalog, guard: this.#guard, catalog: guardedCatalog(catalog, this.#guard) };
    }
    return this.#answered.catalog;
  }

  /** The same for the catalog of a fold that `fold` has not taken. Changes nothing. */
  preview(folded: Folded): Catalog {
    const { catalog } = folded;
    const events = guardEvents(folded, (service, id) => isTakenOut(catalog, service, id));
    const at = this.#parts.now();
    const guard = events.reduce((before, event) => stepGuard(before, at, event).guard, this.#guard);
    return guardedCatalog(catalog, guard);
  }

  status(): readonly GuardedStatus[] {
    const now = this.#parts.now();
    return [...this.#guard.guarded].map(([service, { instances, lost, of, until }]) => ({
      service,
      instances: [...instances.keys()],
      lost,
      of,
      endsInMs: Math.max(0, Math.round(until - now)),
    }));
  }

  /** Later events change the guard, and nothing saves it. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #step(events: readonly GuardEvent[]): void {
    const { metrics, now, onChange } = this.#parts;
    const at = now();
    const transitions: GuardTransition[] = [];
    for (const event of events) {
      const step = stepGuard(this.#guard, at, event);
      this.#guard = step.guard;
      for (const one of step.transitions) transitions.push(one);
    }
    const guard = this.#guard;
    this.#log(transitions);
    for (const one of transitions) onChange(one.service, one.kind === 'guarded' ? one.instance.id : one.id);
    if (this.#closed) return;
    if (transitions.length > 0) {
      metrics.guardHeld.reset();
      for (const [service, { instances }] of guard.guarded) metrics.guardHeld.set({ service }, instances.size);
      this.#parts.onGuarded?.(() => this.#guarded());
    }
    this.#arm();
  }

  /** Logs one line for all instances of a service that changed for the same reason. */
  #log(transitions: readonly GuardTransition[]): void {
    const { logger } = this.#parts;
    for (const { first, ids } of alike(transitions)) {
      const [{ service }, count, instances] = [first, ids.length, ids.slice(0, 3)];
      const which = `${instances.join(', ')}${count > 3 ? ` and ${count - 3} more` : ''}`;
      if (first.kind === 'guarded') {
        const seconds = Math.round((first.until - first.since) / 1000);
        const event = { event: 'guard-held', service, count, instances, seconds };
        logger.warn(event, `${service}: many instances were lost at once, and pointsman guards them: ${which}`);
      } else {
        const event = { event: 'guard-let-go', service, count, instances, reason: first.reason };
        logger.warn(event, `${service}: pointsman no longer guards them (${first.reason}): ${which}`);
      }
    }
  }

  #guarded(): readonly GuardedInstances[] {
    const now = this.#parts.now();
    return [...this.#guard.guarded].map(([service, { lost, of, until, instances }]) => ({
      service,
      lost,
      of,
      remainingMs: Math.max(0, until - now),
      instances: [...instances.values()],
    }));
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const deadline = nextDeadline(this.#guard);
    if (deadline === undefined) return;
    this.#timer = setTimeout(
      () => this.#step([{ kind: 'tick' }]),
      Math.max(1, Math.ceil(deadline - this.#parts.now())),
    );
  }
}

/** Groups the transitions by service, reason and time. */
function alike(transitions: readonly GuardTransition[]) {
  const groups = new Map<string, { readonly first: GuardTransition; readonly ids: InstanceId[] }>();
  for (const one of transitions) {
    const what = one.kind === 'guarded' ? `guarded ${one.since} ${one.until}` : one.reason;
    const key = `${one.service} ${what}`;
    const group = groups.get(key) ?? { first: one, ids: [] };
    groups.set(key, group);
    group.ids.push(one.kind === 'guarded' ? one.instance.id : one.id);
  }
  return groups.values();
}
