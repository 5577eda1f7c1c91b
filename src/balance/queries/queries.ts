import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { defaultCatalogLimits } from '../../catalog/limits.ts';
import { overrideOf } from '../../catalog/overrides.ts';
import { mayBeForgotten } from '../../catalog/remembering.ts';
import type { Service } from '../../catalog/service.ts';
import { takesPart, withSplit } from '../../catalog/split.ts';
import { balancersOf } from '../../fleet/fleet-view.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import type { ServerTraffic, Traffic } from '../../haproxy/stat.ts';
import { formatAddress } from '../../model/address.ts';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { byWhom, effectName, type Override } from '../../model/override.ts';
import { serviceOfTarget } from '../../model/route-target.ts';
import { isStateKey } from '../../model/service-state.ts';
import type { Registry } from '../../registry/registry.ts';
import { describePace } from '../../render/check-pace.ts';
import { type Conflict, conflictsWith, describeConflict } from '../../render/conflict.ts';
import { cappedPrioritiesOver } from '../../render/routes.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { HeldEntries } from '../guard/held-entries.ts';
import type { Balancer } from '../reconcile/balancer.ts';
import { type Explanation, explain, type Look } from './explain.ts';

/** A service as this balancer serves it. */
export type ServiceView = {
  readonly name: string;
  readonly mode: 'http' | 'tcp';
  /** Of a `tcp` service, the one that is served. */
  readonly port: number | undefined;
  /** False when it has the default policy because nobody declared one. */
  readonly declared: boolean;
  /** As `shop.example.com/api/`; the first of them, and how many there are. */
  readonly routes: readonly string[];
  readonly routeCount: number;
  readonly instances: number;
  /** That are meant to get new requests. */
  readonly ready: number;
  /** That HAProxy finds well; undefined while it cannot be asked. */
  readonly up: number | undefined;
  /** Lost all at once, and served all the same. */
  readonly held: number;
  readonly traffic: Traffic | undefined;
};

type InstanceView = {
  readonly id: string;
  readonly address: string;
  readonly weight: number;
  readonly state: Instance['state'];
  readonly version: string | undefined;
  readonly zone: string | undefined;
  readonly held: boolean;
  /** `drain by ada (new disk)`. */
  readonly override: string | undefined;
  readonly traffic: ServerTraffic | undefined;
};

export type ServiceDetail = ServiceView & {
  readonly instancesById: readonly InstanceView[];
  /** What it, or another service because of it, does not get; the first of them, a clause each. */
  readonly conflicts: readonly string[];
};

/** A balancer of the fleet, as it says in the registry. */
export type FleetMember = {
  readonly id: string;
  /** What it serves. A number here: a page can subtract it, and 2^53 revisions take long enough. */
  readonly revision: number;
  readonly haproxyVersion: string;
  /** How many entries it does not serve as they stand. */
  readonly refusals: number;
  /** Why it cannot be told. */
  readonly problem: string | undefined;
};

export type BalanceQueriesParts = {
  readonly balancer: Balancer;
  readonly guarding: Guarding;
  /** What is held of the registry itself. */
  readonly heldEntries: Pick<HeldEntries, 'instancesOf'>;
  readonly link: RuntimeLink;
  /** Where balancers acknowledge; undefined where they do not. */
  readonly registry: Registry | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

type Rejection = NonNullable<Look['rejection']>;

// Several pages may be open, and each asks every two seconds.
const fleetEveryMs = 1000;
const fleetMs = 1500;

const mostRoutes = 8;
const mostConflicts = 20;

/** What people look at: services, their instances, and why one is or is not served. Asks HAProxy when it is asked. */
export class BalanceQueries {
  readonly #parts: BalanceQueriesParts;
  #fleet: { readonly at: number; readonly members: Promise<readonly FleetMember[]> } | undefined;

  constructor(parts: BalanceQueriesParts) {
    this.#parts = parts;
  }

  /** Every balancer that lives; none when the registry does not answer. */
  fleet(): Promise<readonly FleetMember[]> {
    const { registry, now } = this.#parts;
    if (registry === undefined) return Promise.resolve([]);
    if (this.#fleet === undefined || now() - this.#fleet.at > fleetEveryMs) {
      this.#fleet = { at: now(), members: readFleet(registry).catch(() => []) };
    }
    return this.#fleet.members;
  }

  /** All services, by name. */
  async services(): Promise<readonly ServiceView[]> {
    const traffic = await this.#orNothing((link) => link.backendTraffic());
    const { catalog, held } = this.#catalogs();
    const routes = this.#routes();
    return [...held.services.values()]
      .map((service) => withSplit(this.#asServed(service)))
      .map((service) => {
        const { name } = service;
        return viewOf(service, this.#heldOf(service, catalog), routes.get(name) ?? [], traffic?.get(name));
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One service with its instances, by id; undefined when there is none of this name. */
  async service(name: ServiceName): Promise<ServiceDetail | undefined> {
    const { catalog, held } = this.#catalogs();
    const found = held.services.get(name);
    if (found === undefined) return undefined;
    const service = withSplit(this.#asServed(found));
    const [backends, servers] = await Promise.all([
      this.#orNothing((link) => link.backendTraffic()),
      this.#orNothing((link) => link.serverTraffic(name)),
    ]);
    const registered = catalog.services.get(name)?.registered;
    const instancesById = [...service.instances.values()]
      .map((instance) => ({
        id: instance.id,
        address: formatAddress(instance.address),
        weight: instance.weight,
        state: instance.state,
        version: instance.version,
        zone: instance.zone,
        held:
          registered?.has(instance.id) !== true ||
          catalog.accepted.get(`instances/${name}/${instance.id}`)?.held !== undefined,
        override: describeOverride(overrideOf(catalog.overrides, name, instance.id)),
        traffic: servers?.get(instance.id),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const routes = this.#routes().get(name) ?? [];
    const conflicts = this.#conflictsWith(name).slice(0, mostConflicts).map(describeConflict);
    return {
      ...viewOf(service, this.#heldOf(service, catalog), routes, backends?.get(name)),
      instancesById,
      conflicts,
    };
  }

  async explain(service: ServiceName, id: InstanceId): Promise<Explanation> {
    const servers = await this.#orNothing((link) => link.serverTraffic(service));
    const { balancer, guarding, now } = this.#parts;
    const { catalog, served, desired, lingering, pending, paced, refused, quarantined, rejections } = balancer.status();
    const key = `instances/${service}/${id}`;
    const entry = catalog.accepted.get(key);
    const held = entry?.held;
    const rejection =
      rejections.of(catalog, key) ?? (entry === undefined ? await this.#forgotten(catalog, key) : undefined);
    const hold = guarding.status().find((one) => one.service === service && one.instances.includes(id));
    const whole = balancer.requested.services.get(service);
    const asServed = whole && this.#asServed(whole);
    const found = whole && withSplit(whole);
    const unsplit = whole?.instances.get(id);
    const backend = desired.backends.get(service);
    return explain({
      service,
      id,
      held: held && { reason: held.reason, leftMs: held.until && Math.max(0, Math.round(held.until - now())) },
      key: entry && { value: entry.value, revision: String(entry.revision), leased: entry.leased },
      rejection: rejection && { reason: rejection.reason, lastGoodServes: rejection.lastGoodServes },
      registered: catalog.services.get(service)?.registered.get(id),
      instance: found?.instances.get(id),
      emptySplit:
        unsplit !== undefined && takesPart(unsplit) && found?.instances.get(id)?.weight === 0
          ? { version: unsplit.version }
          : undefined,
      override: describeOverride(overrideOf(catalog.overrides, service, id)),
      heldForMs: hold?.endsInMs,
      desired: backend?.servers.get(id),
      checkPace: backend && describePace(backend),
      served: served.backends.get(service)?.servers.get(id),
      lingers: lingering.has(`${service}/${id}`),
      pendingReload: pending,
      refused,
      paced: paced.get(service),
      quarantined: quarantined.find((one) => one.key === key || one.key === `services/${service}`),
      unservedPort: whole === undefined || asServed?.policy.port === whole.policy.port ? undefined : whole.policy.port,
      routes: this.#routes().get(service) ?? [],
      conflicts: this.#conflictsWith(service),
      traffic: servers?.get(id),
    });
  }

  /** A catalog remembers some thousands of rejected entries. Beyond them the registry is asked for the entry itself. */
  async #forgotten(catalog: Catalog, key: string): Promise<Rejection | undefined> {
    const { registry } = this.#parts;
    if (registry === undefined || !mayBeForgotten(catalog, key)) return undefined;
    const unknown = { reason: 'it is not known: more entries are refused than are remembered', lastGoodServes: false };
    try {
      const { entries } = await registry.read(key, AbortSignal.timeout(fleetMs));
      const entry = entries.find((one) => one.key === key);
      if (entry === undefined) return undefined;
      const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision: entry.revision, cluster: '' } as const;
      const folded = foldEvent(emptyCatalog, { ...snapshot, entries: new Map([[key, entry]]) }, defaultCatalogLimits);
      return { reason: folded.catalog.rejected.get(key)?.reason ?? unknown.reason, lastGoodServes: false };
    } catch {
      return unknown;
    }
  }

  #catalogs(): { readonly catalog: Catalog; readonly held: Catalog } {
    const { balancer, guarding } = this.#parts;
    const { catalog } = balancer.status();
    return { catalog, held: guarding.served(catalog) };
  }

  #conflictsWith(service: ServiceName): readonly Conflict[] {
    const { conflicts, desired } = this.#parts.balancer.status();
    const others = conflictsWith(conflicts, service).filter(
      ({ kind, winner }) => kind !== 'capped-priority' || winner !== service,
    );
    return [...others, ...(desired.routeTable ? cappedPrioritiesOver(desired.routeTable, service) : [])];
  }

  /** How many instances the registry does not have any more: those that the guard holds, and those held otherwise. */
  #heldOf({ name, instances }: Service, catalog: Catalog): number {
    const registered = catalog.services.get(name)?.registered.size ?? 0;
    return Math.max(0, instances.size - registered) + this.#parts.heldEntries.instancesOf(name);
  }

  /** With the policy that stands in for one that HAProxy refuses. */
  #asServed(service: Service): Service {
    const policy = this.#parts.balancer.quarantinedPolicy(service.name);
    return policy === undefined ? service : { ...service, policy };
  }

  #routes(): ReadonlyMap<ServiceName, readonly string[]> {
    const routes = new Map<ServiceName, string[]>();
    for (const [route, target] of this.#parts.balancer.status().served.routes) {
      if (isStateKey(route)) continue;
      const service = serviceOfTarget(target);
      const known = routes.get(service);
      if (known === undefined) routes.set(service, [route]);
      else known.push(route);
    }
    return routes;
  }

  /** HAProxy may just be starting; what is known without it is shown all the same. */
  async #orNothing<T>(ask: (link: RuntimeLink) => Promise<T>): Promise<T | undefined> {
    const { link } = this.#parts;
    if (!link.connected) return undefined;
    return ask(link).catch(() => undefined);
  }
}

async function readFleet(registry: Registry): Promise<readonly FleetMember[]> {
  const { entries } = await registry.read('balancers/', AbortSignal.timeout(fleetMs));
  return [...balancersOf(entries)]
    .map(([id, says]) =>
      says.ok
        ? {
            id,
            revision: Number(says.value.revision),
            haproxyVersion: says.value.haproxyVersion,
            refusals: says.value.refusals.length,
            problem: undefined,
          }
        : { id, revision: 0, haproxyVersion: '', refusals: 0, problem: says.reason },
    )
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function viewOf(
  { name, policy, declared, instances }: Service,
  held: number,
  routes: readonly string[],
  traffic: (Traffic & { readonly up: number }) | undefined,
): ServiceView {
  let ready = 0;
  for (const { state, weight } of instances.values()) if (state === 'ready' && weight > 0) ready += 1;
  return {
    name,
    mode: policy.mode,
    port: policy.port,
    declared,
    routes: [...routes].sort().slice(0, mostRoutes),
    routeCount: routes.length,
    instances: instances.size,
    ready,
    up: traffic?.up,
    held,
    traffic,
  };
}

function describeOverride(override: Override | undefined): string | undefined {
  return override && effectName(override.effect) + byWhom(override);
}
