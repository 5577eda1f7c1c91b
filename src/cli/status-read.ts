import * as v from 'valibot';
import type { Catalog } from '../catalog/catalog.ts';
import { withSplit } from '../catalog/split.ts';
import { describeFile } from '../files/describe-file.ts';
import { heldReason } from '../fleet/acknowledgement.ts';
import { formatDuration } from '../model/duration.ts';
import { describe } from '../model/fault.ts';
import type { ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { describeConflict, moreConflicts } from '../render/conflict.ts';
import { rootOf } from '../settings/registry.ts';
import type { SeeSettings } from '../settings/see.ts';
import { askAdmin, findBalancers, type KnownBalancer } from './balancers.ts';
import { readIfThere } from './read-if-there.ts';
import { catalogOf } from './read-service.ts';
import { type InstanceState, readInstances } from './status-instances.ts';

const claimants = { winner: v.optional(v.string()), loser: v.string() };
const because = v.fallback(v.optional(v.picklist(['own-name', 'older', 'first-by-name'])), undefined);
const conflict = v.variant('kind', [
  v.object({
    kind: v.literal('port'),
    port: v.number(),
    because,
    ofTemplate: v.optional(v.literal(true)),
    ofClaim: v.optional(v.literal(true)),
    ...claimants,
  }),
  v.object({ kind: v.literal('certificate'), file: v.string(), ...claimants }),
  v.object({ kind: v.literal('priority'), ...claimants }),
  v.object({ kind: v.literal('host'), host: v.string(), more: v.number(), ...claimants }),
  v.object({ kind: v.literal('capped-priority'), priority: v.number(), counts: v.number(), ...claimants }),
  v.object({ kind: v.literal('route'), route: v.string(), more: v.optional(v.number()), because, ...claimants }),
]);
const revisionText = v.pipe(v.string(), v.regex(/^\d{1,19}$/));
const health = v.looseObject({
  ready: v.boolean(),
  serving: v.optional(v.boolean()),
  troubles: v.optional(
    v.array(v.looseObject({ part: v.string(), means: v.string(), reason: v.string(), sinceMs: v.number() })),
    [],
  ),
  revisionSeen: v.optional(revisionText, '0'),
  revisionApplied: v.optional(revisionText, '0'),
  registry: v.object({ connected: v.boolean(), reason: v.optional(v.string()), staleMs: v.number() }),
  pendingReload: v.optional(v.array(v.string()), []),
  refused: v.optional(v.string()),
  drift: v.optional(
    v.looseObject({ times: v.number(), ageMs: v.number(), count: v.number(), differences: v.array(v.string()) }),
  ),
  storage: v.optional(v.array(v.looseObject({ what: v.string(), reason: v.string() })), []),
  conflicts: v.optional(v.array(conflict), []),
  moreConflicts: v.optional(v.record(v.string(), v.number()), {}),
  guarded: v.optional(
    v.array(v.looseObject({ service: v.string(), instances: v.array(v.string()), lost: v.number(), of: v.number() })),
    [],
  ),
  held: v.optional(
    v.array(
      v.looseObject({
        kind: v.string(),
        reason: v.string(),
        count: v.number(),
        endsInMs: v.optional(v.number()),
        keys: v.optional(v.array(v.string()), []),
      }),
    ),
    [],
  ),
  files: v.optional(
    v.array(
      v.looseObject({
        dest: v.string(),
        refused: v.optional(v.string()),
        reloadFailed: v.optional(v.string()),
        altered: v.optional(v.string()),
        stalled: v.optional(v.string()),
        inPlace: v.optional(v.string()),
      }),
    ),
    [],
  ),
  quarantined: v.optional(v.array(v.looseObject({ key: v.string(), reason: v.string(), serves: v.string() })), []),
  rejected: v.optional(v.array(v.object({ key: v.string(), reason: v.string() })), []),
});
const services = v.array(
  v.looseObject({
    name: v.string(),
    up: v.optional(v.number()),
    declared: v.optional(v.boolean(), true),
    instances: v.optional(v.number(), 0),
    ready: v.optional(v.number(), 0),
    port: v.optional(v.number()),
    routes: v.optional(v.array(v.string()), []),
  }),
);

type Health = v.InferOutput<typeof health>;
export type BalancerState = KnownBalancer & {
  readonly health: Health | undefined;
  /** Why its admin port, which answered a moment before, did not say what was asked. */
  readonly unread?: string;
  /** As it serves them; empty while it cannot be asked. */
  readonly serves: v.InferOutput<typeof services>;
};

/** Everything that `status` shows. */
export type Status = {
  readonly location: string;
  /** Undefined while the registry cannot be read; what follows is then what a balancer serves. */
  readonly revision: Revision | undefined;
  readonly balancers: readonly BalancerState[];
  readonly services: readonly {
    readonly name: string;
    readonly declared: boolean;
    readonly instances: number;
    readonly ready: number;
    readonly overrides: number;
    readonly hosts: readonly string[];
  }[];
  /** Of the one service that was asked for. */
  readonly instances: readonly InstanceState[] | undefined;
  /** What does not follow from the tables, a line each. */
  readonly trouble: readonly string[];
};

/** Rejects with a Fault when neither the registry nor a balancer of this machine can be asked. */
export async function readStatus(
  registry: Registry,
  { admin, registry: settings }: SeeSettings,
  only: ServiceName | undefined,
): Promise<Status> {
  const { revision, cluster, entries, fault } = await readIfThere(registry, '');
  const catalog = catalogOf(entries, Date.now());
  const {
    balancers: known,
    stranger,
    unanswered,
  } = await findBalancers(
    entries.filter(({ key }) => key.startsWith('balancers/')),
    admin,
    { cluster, root: rootOf(settings) },
  );
  if (fault !== undefined && known.length === 0) throw fault;
  const balancers = await Promise.all(known.map(look));
  const trouble = new Set<string>();
  if (stranger !== undefined) trouble.add(stranger);
  for (const line of unanswered) trouble.add(line);
  if (fault !== undefined) {
    trouble.add(
      `the registry cannot be read within 3s: ${fault.message}; the services are as ${known[0]?.id} serves them`,
    );
  }
  for (const { id, health: state, says, unread } of balancers) {
    if (unread !== undefined) trouble.add(`${id}: ${unread}`);
    if (says !== undefined && !says.ok) trouble.add(`${id}: its acknowledgement cannot be read: ${says.reason}`);
    for (const { key, reason } of says?.ok ? says.value.refusals : []) {
      // What is malformed is so for everyone, and told once.
      // So is what is held, in one line for all of it.
      if (!catalog.rejected.has(key) && reason !== heldReason) trouble.add(`${id}: ${key}: ${reason}`);
    }
    if (state === undefined) continue;
    for (const { part, means, reason, sinceMs } of state.troubles) {
      if (part === 'storage' || reason === state.refused) continue;
      trouble.add(`${id}: for ${formatDuration(sinceMs)}, ${means}: ${reason}`);
    }
    for (const one of state.held) trouble.add(`${id}: ${describeHeld(one)}`);
    for (const { service, lost, of, instances } of state.guarded) {
      const held = `${instances.length} ${instances.length === 1 ? 'is' : 'are'} held`;
      trouble.add(`${id}: ${service} lost ${lost} of ${of} at once; ${held} (pointsman release ${service})`);
    }
    for (const { key, reason, serves } of state.quarantined) {
      trouble.add(
        `${id}: ${key} is quarantined (${serves === 'nothing' ? 'not served' : 'served as before'}): ${reason}`,
      );
    }
    if (state.refused !== undefined) trouble.add(`${id}: ${state.refused}`);
    for (const { what, reason } of state.storage) trouble.add(`${id}: the ${what} is not on disk: ${reason}`);
    for (const { says: what } of state.files.flatMap(describeFile)) trouble.add(`${id}: ${what}`);
    for (const one of state.conflicts) trouble.add(`${id}: ${describeConflict(one)}`);
    for (const [name, count] of Object.entries(state.moreConflicts))
      trouble.add(`${id}: ${moreConflicts(name, count)}`);
    if (state.drift !== undefined) trouble.add(`${id}: ${describeDrift(state.drift)}`);
  }
  for (const { key, reason } of catalog.rejected.values()) trouble.add(`${key}: ${reason}`);
  return {
    location: registry.location,
    revision,
    balancers,
    instances: only === undefined ? undefined : await readInstances(only, catalog, known),
    services: (fault === undefined ? asServed(registered(catalog), balancers) : served(balancers))
      .filter(({ name }) => only === undefined || name === only)
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    trouble: [...trouble],
  };
}

const registered = (catalog: Catalog): Status['services'][number][] =>
  [...catalog.services.values()].map(withSplit).map(({ name, declared, instances, policy }) => ({
    name,
    declared,
    instances: instances.size,
    ready: instances.count(({ state, weight }) => state === 'ready' && weight > 0),
    overrides: catalog.overrides.get(name)?.size ?? 0,
    hosts: policy.mode === 'tcp' ? [`tcp port ${policy.port}`] : policy.routes.flatMap(({ hosts }) => hosts),
  }));

const served = ([balancer]: readonly BalancerState[]): Status['services'][number][] =>
  (balancer?.serves ?? []).map(({ name, declared, instances, ready, routes, port }) => ({
    name,
    declared,
    instances,
    ready,
    overrides: 0,
    hosts: placesOf(routes, port),
  }));

/** `57 entries are held until released (pointsman release SERVICE, or --all): this is another cluster…: services/web, … and 37 more`. */
function describeHeld({ count, reason, endsInMs, keys }: Health['held'][number]): string {
  const entries = count === 1 ? '1 entry is' : `${count} entries are`;
  const until = endsInMs === undefined ? 'until released' : `for ${formatDuration(endsInMs)} more`;
  const more = count > keys.length ? ` and ${count - keys.length} more` : '';
  const named = keys.length === 0 ? '' : `: ${keys.join(', ')}${more}`;
  return `${entries} held ${until} (pointsman release SERVICE, or --all): ${reason}${named}`;
}

const placesOf = (routes: readonly string[], port: number | undefined): readonly string[] =>
  port !== undefined ? [`tcp port ${port}`] : routes.length === 0 ? ['not served'] : routes;

/** With what balancers serve otherwise than the registry asks: a policy in quarantine, and services that are held. */
function asServed(
  services: readonly Status['services'][number][],
  balancers: readonly BalancerState[],
): Status['services'][number][] {
  const known = new Set(services.map(({ name }) => name));
  const held = balancers.flatMap((balancer) => served([balancer])).filter(({ name }) => !known.has(name));
  const others = new Map(held.map((service) => [service.name, service]));
  return [
    ...services.map((service) => {
      const holder = balancers.find(({ health: state }) =>
        state?.quarantined.some(({ key }) => key === `services/${service.name}`),
      );
      const now = holder?.serves.find(({ name }) => name === service.name);
      return now === undefined ? service : { ...service, hosts: placesOf(now.routes, now.port) };
    }),
    ...others.values(),
  ];
}

/** `HAProxy ran something else 3s ago (2 differences, healed; 4 times in 15 minutes): server web/a …`. */
function describeDrift({ times, ageMs, count, differences }: NonNullable<Health['drift']>): string {
  const often = times === 1 ? '' : `; ${times} times in 15 minutes`;
  const what = `${count} ${count === 1 ? 'difference' : 'differences'}`;
  return `HAProxy ran something else ${formatDuration(ageMs)} ago (${what}, healed${often}): ${differences[0]}`;
}

async function look(balancer: KnownBalancer): Promise<BalancerState> {
  const { admin } = balancer;
  if ('reason' in admin) return { ...balancer, health: undefined, serves: [] };
  try {
    const [state, serves] = await Promise.all([askAdmin(admin.at, '/status'), askAdmin(admin.at, '/services')]);
    return { ...balancer, health: v.parse(health, state), serves: v.parse(services, serves) };
  } catch (error) {
    const unread = `its admin port ${admin.at} does not answer as it should: ${describe(error)}`;
    return { ...balancer, health: undefined, unread, serves: [] };
  }
}
