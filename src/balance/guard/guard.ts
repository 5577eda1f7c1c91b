import { List, OrderedMap, Map as PersistentMap } from 'immutable';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { GuardSettings } from '../../model/policy/guard.ts';

/** When the guard does not believe losses: many at once are more likely a fault of the registry than of the instances. */
export type GuardPolicy = {
  /** The share of a service's instances, 0 to 1: the guard does not believe that more are lost at once. With 1 it believes all. */
  readonly share: number;
  /** The guard ignores services that had fewer instances: half of two is one. */
  readonly minimum: number;
  /** How long an instance is guarded at most, in ms. */
  readonly holdMs: number;
  /** Losses within this time belong together, in ms. About a TTL: leases that were cut off together end within one. */
  readonly windowMs: number;
};

export const defaultGuardPolicy: GuardPolicy = { share: 0.5, minimum: 4, holdMs: 600_000, windowMs: 10_000 };

export type GuardEvent =
  | {
      readonly kind: 'changed';
      readonly service: ServiceName;
      /** From the newest policy of the service. */
      readonly settings: GuardSettings;
      /** The number of instances in the registry. */
      readonly present: number;
      /** Instances whose lease ran out: the registry deleted them, and they did not drain before. */
      readonly expired: readonly Instance[];
      /** Instances that drained, that somebody removed, or that an override takes out. */
      readonly left: readonly InstanceId[];
      /** Instances that somebody wrote, whether they existed before or not. */
      readonly put: readonly InstanceId[];
    }
  | { readonly kind: 'checked'; readonly service: ServiceName; readonly id: InstanceId; readonly passes: boolean }
  /** An operator confirms that the losses are real. */
  | { readonly kind: 'release'; readonly service: ServiceName }
  /** The guarded instances of the process before this one. */
  | {
      readonly kind: 'resume';
      readonly service: ServiceName;
      readonly lost: number;
      readonly of: number;
      readonly remainingMs: number;
      readonly instances: readonly Instance[];
    }
  | { readonly kind: 'tick' };

type LetGoReason = 'returned' | 'left' | 'check-failed' | 'released' | 'held-too-long' | 'guard-off';

/** A change that a step made: the balancer applies, logs and counts it. */
export type GuardTransition =
  | {
      readonly kind: 'guarded';
      readonly service: ServiceName;
      readonly instance: Instance;
      readonly since: number;
      readonly until: number;
    }
  | { readonly kind: 'let-go'; readonly service: ServiceName; readonly id: InstanceId; readonly reason: LetGoReason };

/** A service whose losses the guard does not believe. Times in ms of the clock of the steps. */
type GuardedService = {
  readonly since: number;
  readonly until: number;
  /** The losses that began it: `lost` of `of` instances within one window. */
  readonly lost: number;
  readonly of: number;
  readonly instances: OrderedMap<InstanceId, Instance>;
};

/** `at`: ms of a clock. */
type Deadline = { readonly at: number; readonly service: ServiceName };

/**
 * The deadlines of services: one list for each length of a wait, in ms. Each list is in order of time, because deadlines are appended,
 * so a step looks only at deadlines that are due. The guard ignores a deadline that is obsolete when it is due.
 */
type Deadlines = PersistentMap<number, List<Deadline>>;

const noDeadlines: Deadlines = PersistentMap();

/** A loss that the guard believed. It counts until its window is over. */
type Loss = { readonly instance: Instance; readonly until: number };

/** The state of the guard. It has nothing about services that lose nothing. */
export type Guard = {
  readonly policy: GuardPolicy;
  readonly guarded: PersistentMap<ServiceName, GuardedService>;
  /** The losses of the last window that the guard believed so far, oldest first. */
  readonly losses: PersistentMap<ServiceName, OrderedMap<InstanceId, Loss>>;
  readonly guardEnds: Deadlines;
  readonly windowEnds: Deadlines;
};

export type GuardStep = { readonly guard: Guard; readonly transitions: readonly GuardTransition[] };

export function emptyGuard(policy: GuardPolicy): Guard {
  return { policy, guarded: PersistentMap(), losses: PersistentMap(), guardEnds: noDeadlines, windowEnds: noDeadlines };
}

/**
 * The mass-loss guard: silence is not absence. When more than `share` of at least `minimum` instances of one service are
 * lost by expired leases within `windowMs`, the balancer goes on serving them and further instances that are lost meanwhile: they are
 * *guarded*. The guard lets go of an instance when it returns, fails its check, is removed or is released, or when `holdMs` have
 * passed since the first loss. Instances that drain before they leave are not guarded and do not count. The settings of the service
 * count as they are when it loses instances; with a share of 1 the guard lets go at once.
 *
 * How to drive it: step it with `changed` for each service that an event of the registry touched (`guardEvents` in
 * losses.ts makes them), with `checked` when HAProxy's view of a guarded server changes, with `release` when an operator
 * writes one, and with `tick` once `nextDeadline` is reached. Serve `guardedCatalog` (losses.ts), and apply the services that transitions
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
      return joined(transitions, beginGuarding(guard, now, event, event.instances));
    case 'changed':
      return joined(transitions, stepChanged(guard, now, event));
  }
}

/** When the next `tick` is due; undefined: nothing waits for time to pass. */
export function nextDeadline({ guardEnds, windowEnds }: Guard): number | undefined {
  const next = Math.min(earliest(guardEnds), earliest(windowEnds));
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
  // No service loses more than all.
  if (share >= 1) return joined(transitions, letGoAll(withoutLosses(guard, service), service, 'guard-off'));
  if (expired.length === 0) return { guard, transitions };

  const known = guard.guarded.get(service);
  if (known !== undefined) {
    return joined(transitions, addGuarded(guard, service, known, expired));
  }
  const losses = (guard.losses.get(service) ?? OrderedMap<InstanceId, Loss>()).withMutations((map) => {
    // Appended, so the oldest is first: an instance that is lost twice was written in between, and forgotten then.
    for (const instance of expired) map.set(instance.id, { instance, until: now + windowMs });
  });
  const of = present + losses.size;
  if (of < minimum || losses.size <= share * of) {
    const windowEnds = withDeadline(guard.windowEnds, windowMs, { at: now + windowMs, service });
    return { guard: { ...guard, losses: guard.losses.set(service, losses), windowEnds }, transitions };
  }
  const lost = losses.valueSeq().map(({ instance }) => instance);
  const begun = { service, lost: losses.size, of, remainingMs: holdMs };
  return joined(transitions, beginGuarding(withoutLosses(guard, service), now, begun, lost));
}

function beginGuarding(
  guard: Guard,
  now: number,
  { service, lost, of, remainingMs }: { service: ServiceName; lost: number; of: number; remainingMs: number },
  instances: Iterable<Instance>,
): GuardStep {
  const until = now + remainingMs;
  const guardEnds = withDeadline(guard.guardEnds, remainingMs, { at: until, service });
  return addGuarded(
    { ...guard, guardEnds },
    service,
    { since: now, until, lost, of, instances: OrderedMap() },
    instances,
  );
}

function addGuarded(guard: Guard, service: ServiceName, known: GuardedService, expired: Iterable<Instance>): GuardStep {
  const transitions: GuardTransition[] = [];
  const instances = known.instances.withMutations((map) => {
    for (const instance of expired) {
      map.set(instance.id, instance);
      transitions.push({ kind: 'guarded', service, instance, since: known.since, until: known.until });
    }
  });
  return { guard: { ...guard, guarded: guard.guarded.set(service, { ...known, instances }) }, transitions };
}

function letGo(guard: Guard, service: ServiceName, ids: Iterable<InstanceId>, reason: LetGoReason): GuardStep {
  const known = guard.guarded.get(service);
  if (known === undefined) return { guard, transitions: [] };
  const transitions: GuardTransition[] = [];
  const instances = known.instances.withMutations((map) => {
    for (const id of ids) {
      if (!map.has(id)) continue;
      map.delete(id);
      transitions.push({ kind: 'let-go', service, id, reason });
    }
  });
  if (transitions.length === 0) return { guard, transitions };
  const guarded = instances.isEmpty()
    ? guard.guarded.delete(service)
    : guard.guarded.set(service, { ...known, instances });
  return { guard: { ...guard, guarded }, transitions };
}

function letGoAll(guard: Guard, service: ServiceName, reason: LetGoReason): GuardStep {
  return letGo(guard, service, [...(guard.guarded.get(service)?.instances.keys() ?? [])], reason);
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

/** Ends what is due: guarded services and windows. */
function passTime(before: Guard, now: number): GuardStep {
  const transitions: GuardTransition[] = [];
  const ended = takeDue(before.guardEnds, now);
  const windows = takeDue(before.windowEnds, now);
  let guard: Guard = { ...before, guardEnds: ended.rest, windowEnds: windows.rest };
  for (const { service, at } of ended.due) {
    // A service that the guard released and took again has another deadline.
    if (guard.guarded.get(service)?.until !== at) continue;
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

function withDeadline(deadlines: Deadlines, ms: number, deadline: Deadline): Deadlines {
  return deadlines.set(ms, (deadlines.get(ms) ?? List<Deadline>()).push(deadline));
}

/** The time of the first deadline; infinity: there is none. */
function earliest(deadlines: Deadlines): number {
  let next = Number.POSITIVE_INFINITY;
  for (const list of deadlines.values()) next = Math.min(next, list.first()?.at ?? next);
  return next;
}

function takeDue(deadlines: Deadlines, now: number): { readonly due: readonly Deadline[]; readonly rest: Deadlines } {
  const due: Deadline[] = [];
  let rest = deadlines;
  for (const [ms, list] of deadlines) {
    let later = list;
    for (let first = later.first(); first !== undefined && first.at <= now; first = later.first()) {
      due.push(first);
      later = later.shift();
    }
    if (later !== list) rest = later.isEmpty() ? rest.delete(ms) : rest.set(ms, later);
  }
  return { due, rest };
}
