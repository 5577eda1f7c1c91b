import type { Logger } from 'pino';
import { type Catalog, emptyCatalog, type Folded } from '../../catalog/catalog.ts';
import type { RunningState } from '../../haproxy/running-state.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Release } from '../../registry/releases.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';
import {
  emptyGuard,
  type Guard,
  type GuardEvent,
  type GuardPolicy,
  type GuardTransition,
  nextDeadline,
  stepGuard,
} from './guard.ts';
import type { KeptHold } from './held-instances-file.ts';
import { guardEvents, guardedCatalog, isTakenOut, overridesOfHeld } from './losses.ts';

export type GuardingParts = {
  readonly policy: GuardPolicy;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Told of each instance that is held or let go of, whatever the reason. */
  readonly onChange: (service: ServiceName, id: InstanceId) => void;
  /** Told each time that something else is held; the argument gives all of it. */
  readonly onHolds?: (holds: () => readonly KeptHold[]) => void;
};

/** What an operator sees of a hold. */
export type GuardedStatus = {
  readonly service: string;
  readonly instances: readonly string[];
  readonly lost: number;
  readonly of: number;
  readonly endsInMs: number;
};

/** Drives the mass-loss guard: gives it what happens, logs and counts what it decides, and wakes it in time. */
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
    return !this.#guard.holds.isEmpty();
  }

  /** Takes what a fold of the registry's changes means. */
  fold(folded: Folded): void {
    const { catalog } = folded;
    this.#step(guardEvents(folded, (service, id) => isTakenOut(catalog, service, id)));
    for (const { service, out, others } of overridesOfHeld(folded, this.#guard)) {
      const found = catalog.services.get(service);
      const [present, settings] = [found?.instances.size ?? 0, found?.policy.guard ?? {}];
      if (out.length > 0)
        this.#step([{ kind: 'changed', service, settings, present, expired: [], left: out, put: [] }]);
      for (const id of others) this.#parts.onChange(service, id);
    }
  }

  /** Takes what HAProxy's health checks say of the instances that are held. */
  observe({ servers }: RunningState): void {
    const failing: GuardEvent[] = [];
    for (const [service, { instances }] of this.#guard.holds) {
      for (const id of instances.keys()) {
        const server = servers.get(service)?.get(id);
        if (server !== undefined && !server.up) failing.push({ kind: 'checked', service, id, passes: false });
      }
    }
    if (failing.length > 0) this.#step(failing);
  }

  /** An operator says that the losses of this service, or all losses, are real. */
  release(release: Release): void {
    const services = release === '*' ? [...this.#guard.holds.keys()] : [release];
    this.#step(services.map((service) => ({ kind: 'release', service })));
  }

  /**
   * Goes on holding what the process before this one held. What is registered again is not lost any more. A clock that was
   * set back meanwhile prolongs no hold beyond the length of a new one.
   */
  resume(holds: readonly KeptHold[], { services }: Catalog): void {
    for (const hold of holds) {
      const service = services.get(hold.service);
      const instances = hold.instances.filter(({ id }) => service?.registered.has(id) !== true);
      const { holdMs } = { ...this.#parts.policy, ...service?.policy.guard };
      const remainingMs = Math.min(hold.remainingMs, holdMs);
      if (instances.length > 0) this.#step([{ kind: 'resume', ...hold, remainingMs, instances }]);
    }
  }

  /** The catalog with what is held. */
  served(catalog: Catalog): Catalog {
    // Asked several times a round, and dear while much is held.
    const { of, guard } = this.#answered;
    if (of !== catalog || guard !== this.#guard) {
      this.#answered = { of: catalog, guard: this.#guard, catalog: guardedCatalog(catalog, this.#guard) };
    }
    return this.#answered.catalog;
  }

  status(): readonly GuardedStatus[] {
    const now = this.#parts.now();
    return [...this.#guard.holds].map(([service, { instances, lost, of, until }]) => ({
      service,
      instances: [...instances.keys()],
      lost,
      of,
      endsInMs: Math.max(0, Math.round(until - now)),
    }));
  }

  /** What happens from now on is decided, and kept by nobody. */
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
    for (const one of transitions) onChange(one.service, one.kind === 'held' ? one.instance.id : one.id);
    if (this.#closed) return;
    if (transitions.length > 0) {
      metrics.guardHeld.reset();
      for (const [service, { instances }] of guard.holds) metrics.guardHeld.set({ service }, instances.size);
      this.#parts.onHolds?.(() => this.#kept());
    }
    this.#arm();
  }

  /** Says what happened to a service in one line, however many instances it has. */
  #log(transitions: readonly GuardTransition[]): void {
    const { logger } = this.#parts;
    for (const { first, ids } of alike(transitions)) {
      const [{ service }, count, instances] = [first, ids.length, ids.slice(0, 3)];
      const which = `${instances.join(', ')}${count > 3 ? ` and ${count - 3} more` : ''}`;
      if (first.kind === 'held') {
        const seconds = Math.round((first.until - first.since) / 1000);
        const event = { event: 'guard-held', service, count, instances, seconds };
        logger.warn(event, `${service}: lost at once; held: ${which}`);
      } else {
        const event = { event: 'guard-let-go', service, count, instances, reason: first.reason };
        logger.warn(event, `${service}: not held any more (${first.reason}): ${which}`);
      }
    }
  }

  #kept(): readonly KeptHold[] {
    const now = this.#parts.now();
    return [...this.#guard.holds].map(([service, { lost, of, until, instances }]) => ({
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

/** What happened alike: to one service, for one reason and one time. */
function alike(transitions: readonly GuardTransition[]) {
  const groups = new Map<string, { readonly first: GuardTransition; readonly ids: InstanceId[] }>();
  for (const one of transitions) {
    const what = one.kind === 'held' ? `held ${one.since} ${one.until}` : one.reason;
    const key = `${one.service} ${what}`;
    const group = groups.get(key) ?? { first: one, ids: [] };
    groups.set(key, group);
    group.ids.push(one.kind === 'held' ? one.instance.id : one.id);
  }
  return groups.values();
}
