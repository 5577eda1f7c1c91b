import { OrderedMap, Map as PersistentMap } from 'immutable';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { GuardSettings } from '../../model/policy/guard.ts';
import { type Deadlines, earliest, noDeadlines, takeDue, withDeadline } from './deadlines.ts';

/** When many losses at once are more likely a fault of the registry's side than of the instances. */
export type GuardPolicy = {
  /** More than this share of a service's instances, 0 to 1; 1 never holds any. */
  readonly share: number;
  /** Services that had fewer instances are never guarded: half of two is one. */
  readonly minimum: number;
  /** How long instances are held at most, in ms. */
  readonly holdMs: number;
  /** Losses within this time belong together, in ms. About a TTL: leases that were cut off together end within one. */
  readonly windowMs: number;
};

export const defaultGuardPolicy: GuardPolicy = { share: 0.5, minimum: 4, holdMs: 600_000, windowMs: 10_000 };

/** What the guard is told. */
export type GuardEvent =
  | {
      readonly kind: 'changed';
      readonly service: ServiceName;
      /** What the service's own policy says, as it is now. */
      readonly settings: GuardSettings;
      /** How many instances the registry has now. */
      readonly present: number;
      /** Deleted, leased, and not announced: their leases ran out. */
      readonly expired: readonly Instance[];
      /** Left gracefully, removed by somebody, or taken out by an override. */
      readonly left: readonly InstanceId[];
      /** Put into the registry, whether known before or not. */
      readonly put: readonly InstanceId[];
    }
  /** Whether a held instance passes its health check. */
  | { readonly kind: 'checked'; readonly service: ServiceName; readonly id: InstanceId; readonly passes: boolean }
  /** An operator says that the losses are real. */
  | { readonly kind: 'release'; readonly service: ServiceName }
  /** These were held by the process before this one. */
  | {
      readonly kind: 'resume';
      readonly service: ServiceName;
      readonly lost: number;
      readonly of: number;
      readonly remainingMs: number;
      readonly instances: readonly Instance[];
    }
  /** Only time has passed. */
  | { readonly kind: 'tick' };

type LetGoReason = 'returned' | 'left' | 'check-failed' | 'released' | 'held-too-long' | 'guard-off';

/** What is different after a step; everything the balancer has to do, log and count. */
export type GuardTransition =
  | {
      readonly kind: 'held';
      readonly service: ServiceName;
      readonly instance: Instance;
      readonly since: number;
      readonly until: number;
    }
  | { readonly kind: 'let-go'; readonly service: ServiceName; readonly id: InstanceId; readonly reason: LetGoReason };

/** A service whose losses are not believed. Times in ms of the clock that the steps were given. */
type Hold = {
  readonly since: number;
  readonly until: number;
  /** What made it so: this many of this many instances were lost within one window. */
  readonly lost: number;
  readonly of: number;
  readonly instances: OrderedMap<InstanceId, Instance>;
};

/** A loss that was believed, and counts until its window is over. */
type Loss = { readonly instance: Instance; readonly until: number };

/** A value: a step gives a new one. Holds nothing of services that lose nothing. */
export type Guard = {
  readonly policy: GuardPolicy;
  readonly holds: PersistentMap<ServiceName, Hold>;
  /** Losses of the last window that were believed so far, oldest first. */
  readonly losses: PersistentMap<ServiceName, OrderedMap<InstanceId, Loss>>;
  readonly holdEnds: Deadlines;
  readonly windowEnds: Deadlines;
};

export type GuardStep = { readonly guard: Guard; readonly transitions: readonly GuardTransition[] };

export function emptyGuard(policy: GuardPolicy): Guard {
  return { policy, holds: PersistentMap(), losses: PersistentMap(), holdEnds: noDeadlines, windowEnds: noDeadlines };
}

/**
 * The mass-loss guard: silence is not absence. When more than `share` of at least `minimum` instances of one service are
 * lost by expiry within `windowMs`, all of these (and those that follow while it lasts) are held, which means served as
 * before, until each returns, fails its check, is explicitly removed, is released, or `holdMs` have passed since the
 * first. Graceful leaves are never held and do not count. A service's own settings count as they are when it loses; those
 * that never hold end a hold.
 *
 * How to drive it: step it with `changed` for each service that an event of the registry touched (`guardEvents` in
 * losses.ts makes them), with `checked` when HAProxy's view of a held server changes, with `release` on an operator's
 * word, and with `tick` once `nextDeadline` is reached. Serve `guardedService`, and apply the services that transitions
 * name. `now` is monotonic and never less than in the step before; a late tick only lets go late.
 */
export function stepGuard(before: Guard, now: number, event: GuardEvent): GuardStep {
  const { guard, transitions } = passTime(before, now);
  switch (event.kind) {
    case 'tick':
      return { guard, transitions };
    case 'release':
      return joined(transitions, letGoAll(withoutLosses(guard, event.service), event.service, 'released'));
    case 'checked':
      return event.passes
        ? { guard, transitions }
        : joined(transitions, letGo(guard, event.service, [event.id], 'check-failed'));
    case 'resume':
      return joined(transitions, beginHold(guard, now, event, event.instances));
    case 'changed':
      return joined(transitions, stepChanged(guard, now, event));
  }
}

/** When the guard has to be stepped next, although nothing happens; undefined when it waits for nothing. */
export function nextDeadline({ holdEnds, windowEnds }: Guard): number | undefined {
  const next = Math.min(earliest(holdEnds), earliest(windowEnds));
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

function stepChanged(before: Guard, now: number, event: Extract<GuardEvent, { kind: 'changed' }>): GuardStep {
  const { service, settings, present, expired, left, put } = event;
  const { share, minimum, holdMs, windowMs } = { ...before.policy, ...settings };
  const transitions: GuardTransition[] = [];
  let guard = before;
  for (const [ids, reason] of [
    [put, 'returned'],
    [left, 'left'],
  ] as const) {
    const step = letGo(forgetLosses(guard, service, ids), service, ids, reason);
    guard = step.guard;
    transitions.push(...step.transitions);
  }
  // Nobody can lose more than all.
  if (share >= 1) return joined(transitions, letGoAll(withoutLosses(guard, service), service, 'guard-off'));
  if (expired.length === 0) return { guard, transitions };

  const hold = guard.holds.get(service);
  if (hold !== undefined) {
    const step = addToHold(guard, service, hold, expired);
    return { guard: step.guard, transitions: [...transitions, ...step.transitions] };
  }
  const losses = (guard.losses.get(service) ?? OrderedMap<InstanceId, Loss>()).withMutations((map) => {
    // Appended, so oldest first: whoever is lost a second time was put in between, and forgotten then.
    for (const instance of expired) map.set(instance.id, { instance, until: now + windowMs });
  });
  const of = present + losses.size;
  if (of < minimum || losses.size <= share * of) {
    const windowEnds = withDeadline(guard.windowEnds, windowMs, { at: now + windowMs, service });
    return { guard: { ...guard, losses: guard.losses.set(service, losses), windowEnds }, transitions };
  }
  const lost = losses.valueSeq().map(({ instance }) => instance);
  const begun = { service, lost: losses.size, of, remainingMs: holdMs };
  const step = beginHold(withoutLosses(guard, service), now, begun, lost);
  return { guard: step.guard, transitions: [...transitions, ...step.transitions] };
}

function beginHold(
  guard: Guard,
  now: number,
  { service, lost, of, remainingMs }: { service: ServiceName; lost: number; of: number; remainingMs: number },
  instances: Iterable<Instance>,
): GuardStep {
  const until = now + remainingMs;
  const holdEnds = withDeadline(guard.holdEnds, remainingMs, { at: until, service });
  return addToHold(
    { ...guard, holdEnds },
    service,
    { since: now, until, lost, of, instances: OrderedMap() },
    instances,
  );
}

function addToHold(guard: Guard, service: ServiceName, hold: Hold, expired: Iterable<Instance>): GuardStep {
  const transitions: GuardTransition[] = [];
  const instances = hold.instances.withMutations((map) => {
    for (const instance of expired) {
      map.set(instance.id, instance);
      transitions.push({ kind: 'held', service, instance, since: hold.since, until: hold.until });
    }
  });
  return { guard: { ...guard, holds: guard.holds.set(service, { ...hold, instances }) }, transitions };
}

/** Lets go of those of these that are held. A hold ends with its last instance. */
function letGo(guard: Guard, service: ServiceName, ids: Iterable<InstanceId>, reason: LetGoReason): GuardStep {
  const hold = guard.holds.get(service);
  if (hold === undefined) return { guard, transitions: [] };
  const transitions: GuardTransition[] = [];
  const instances = hold.instances.withMutations((map) => {
    for (const id of ids) {
      if (!map.has(id)) continue;
      map.delete(id);
      transitions.push({ kind: 'let-go', service, id, reason });
    }
  });
  if (transitions.length === 0) return { guard, transitions };
  const holds = instances.isEmpty() ? guard.holds.delete(service) : guard.holds.set(service, { ...hold, instances });
  return { guard: { ...guard, holds }, transitions };
}

function letGoAll(guard: Guard, service: ServiceName, reason: LetGoReason): GuardStep {
  return letGo(guard, service, [...(guard.holds.get(service)?.instances.keys() ?? [])], reason);
}

function withoutLosses(guard: Guard, service: ServiceName): Guard {
  return guard.losses.has(service) ? { ...guard, losses: guard.losses.delete(service) } : guard;
}

function forgetLosses(guard: Guard, service: ServiceName, ids: readonly InstanceId[]): Guard {
  const losses = guard.losses.get(service);
  if (losses === undefined) return guard;
  return withLosses(guard, service, losses.deleteAll(ids));
}

function withLosses(guard: Guard, service: ServiceName, losses: OrderedMap<InstanceId, Loss>): Guard {
  return losses.isEmpty() ? withoutLosses(guard, service) : { ...guard, losses: guard.losses.set(service, losses) };
}

/** Ends the holds and windows whose time has come. */
function passTime(before: Guard, now: number): GuardStep {
  const transitions: GuardTransition[] = [];
  const holds = takeDue(before.holdEnds, now);
  const windows = takeDue(before.windowEnds, now);
  let guard: Guard = { ...before, holdEnds: holds.rest, windowEnds: windows.rest };
  for (const { service, at } of holds.due) {
    // A later hold of the same service has a deadline of its own.
    if (guard.holds.get(service)?.until !== at) continue;
    const step = letGoAll(guard, service, 'held-too-long');
    guard = step.guard;
    transitions.push(...step.transitions);
  }
  for (const { service } of windows.due) {
    const losses = guard.losses.get(service);
    if (losses !== undefined)
      guard = withLosses(
        guard,
        service,
        losses.filter(({ until }) => until > now),
      );
  }
  return { guard, transitions };
}

function joined(first: readonly GuardTransition[], { guard, transitions }: GuardStep): GuardStep {
  return { guard, transitions: [...first, ...transitions] };
}
