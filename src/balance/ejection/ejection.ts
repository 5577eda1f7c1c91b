import { Map as PersistentMap } from 'immutable';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Ejection } from '../../model/policy/ejection.ts';

/**
 * An ejected server gets no requests (`out`), then some (`trial`), then all again. `watched`: it gets all, but if it is ejected again
 * by `until`, it counts as the next time.
 */
type Phase = 'out' | 'trial' | 'watched';

/** One server. `until`: ms of the clock of the steps. */
type Ejected = {
  readonly phase: Phase;
  readonly until: number;
  /** How often in succession it was ejected. */
  readonly times: number;
  /** The errors in a row that it was ejected for. */
  readonly errors: number;
  /** How long it is out this time, in ms. */
  readonly forMs: number;
};

export type Ejections = PersistentMap<ServiceName, PersistentMap<InstanceId, Ejected>>;

export const noEjections: Ejections = PersistentMap();

/** The servers of a service that HAProxy took down for errors, when it did. */
export type MarkedDown = {
  readonly service: ServiceName;
  readonly settings: Ejection;
  /** `recent`: how many errors it made within the time that the policy sets. */
  readonly servers: readonly { readonly id: InstanceId; readonly recent: number }[];
  /** The number of instances that get requests, or would without an ejection. */
  readonly size: number;
  /** The servers that get requests: a backup, or one with the weight 0, does not stand in for another. */
  readonly up: ReadonlySet<InstanceId>;
};

/**
 * Why a server that HAProxy took down is brought back at once: its errors were too far apart, too many servers are ejected, or no
 * other server is up.
 */
export type SpareReason = 'too slow' | 'most' | 'last';

export type EjectionTransition = { readonly service: ServiceName; readonly id: InstanceId } & (
  | { readonly kind: 'ejected'; readonly errors: number; readonly times: number; readonly forMs: number }
  | { readonly kind: 'spared'; readonly reason: SpareReason }
  | { readonly kind: 'trial' | 'returned' }
);

export type EjectionStep = { readonly ejections: Ejections; readonly transitions: readonly EjectionTransition[] };

/** An ejection in succession lasts twice as long as the one before, up to so many times the first. */
const longest = 8;
/** A trial lasts this part of the time that the server was out, and gives it this part of its weight. */
const trialTime = 1 / 3;
const trialWeight = 0.1;

/** Ejects the servers that HAProxy took down, in the order given, as far as the policy allows. */
export function eject(before: Ejections, now: number, marked: MarkedDown): EjectionStep {
  const { service, settings, size, up, servers } = marked;
  const transitions: EjectionTransition[] = [];
  let known = before.get(service) ?? PersistentMap<InstanceId, Ejected>();
  const allowed = Math.max(1, Math.floor(settings.most * size));
  const down = new Set(servers.map(({ id }) => id));
  for (const { id, recent } of servers) {
    const former = known.get(id);
    // Its last requests still end in errors.
    if (former?.phase === 'out') continue;
    const isOut = (one: InstanceId) => known.get(one)?.phase === 'out';
    const out = known.count(({ phase }) => phase === 'out');
    const others = [...up, ...down].some((other) => other !== id && !isOut(other));
    const spared = recent < settings.errors ? 'too slow' : out >= allowed ? 'most' : others ? undefined : 'last';
    if (spared !== undefined) {
      transitions.push({ kind: 'spared', service, id, reason: spared });
      continue;
    }
    const times = (former?.times ?? 0) + 1;
    const forMs = settings.forMs * Math.min(longest, 2 ** (times - 1));
    known = known.set(id, { phase: 'out', until: now + forMs, times, errors: settings.errors, forMs });
    transitions.push({ kind: 'ejected', service, id, errors: settings.errors, times, forMs });
  }
  return { ejections: known.isEmpty() ? before : before.set(service, known), transitions };
}

/** Takes each server whose time is over to its next phase. */
export function passTime(before: Ejections, now: number): EjectionStep {
  const transitions: EjectionTransition[] = [];
  let ejections = before;
  for (const [service, servers] of before) {
    for (const [id, ejected] of servers) {
      if (ejected.until > now) continue;
      const { phase, forMs } = ejected;
      if (phase === 'watched') ejections = withoutServer(ejections, service, id);
      else {
        const [next, lasts] = phase === 'out' ? (['trial', forMs * trialTime] as const) : (['watched', forMs] as const);
        ejections = ejections.setIn([service, id], { ...ejected, phase: next, until: now + lasts });
        transitions.push({ kind: next === 'trial' ? 'trial' : 'returned', service, id });
      }
    }
  }
  return { ejections, transitions };
}

/** Forgets the servers of a service that left, and all of them if its policy ejects none any more. */
export function forget(
  before: Ejections,
  service: ServiceName,
  { ejects, has }: { readonly ejects: boolean; readonly has: (id: InstanceId) => boolean },
): EjectionStep {
  const transitions: EjectionTransition[] = [];
  let ejections = before;
  for (const [id, { phase }] of before.get(service) ?? []) {
    const stays = has(id);
    if (ejects && stays) continue;
    ejections = withoutServer(ejections, service, id);
    if (stays && phase !== 'watched') transitions.push({ kind: 'returned', service, id });
  }
  return { ejections, transitions };
}

function withoutServer(ejections: Ejections, service: ServiceName, id: InstanceId): Ejections {
  const rest = ejections.get(service)?.delete(id);
  if (rest === undefined) return ejections;
  return rest.isEmpty() ? ejections.delete(service) : ejections.set(service, rest);
}

/** When `passTime` has something to do next; undefined: never. */
export function nextChange(ejections: Ejections): number | undefined {
  const next = Math.min(
    ...[...ejections.values()].flatMap((servers) => [...servers.values()].map(({ until }) => until)),
  );
  return next === Number.POSITIVE_INFINITY ? undefined : next;
}

/** The stage `ejected` of the effective catalog: ejected servers get no requests, and those on trial get few. */
export function withoutEjected(catalog: Catalog, ejections: Ejections): Catalog {
  if (ejections.isEmpty()) return catalog;
  const services = catalog.services.withMutations((all) => {
    for (const [name, servers] of ejections) {
      const service = all.get(name);
      if (service === undefined) continue;
      const sticky = service.policy.sticky !== undefined;
      const instances = service.instances.withMutations((map) => {
        for (const [id, ejected] of servers) {
          const instance = map.get(id);
          if (instance !== undefined) map.set(id, limited(instance, ejected, sticky));
        }
      });
      all.set(name, { ...service, instances });
    }
  });
  return { ...catalog, services };
}

function limited(instance: Instance, { phase }: Ejected, sticky: boolean): Instance {
  if (phase === 'watched' || instance.state !== 'ready') return instance;
  if (phase === 'trial') return { ...instance, weight: Math.ceil(instance.weight * trialWeight) };
  // A client's cookie leads it to a server whatever its weight.
  return sticky ? { ...instance, state: 'draining' } : { ...instance, weight: 0 };
}
