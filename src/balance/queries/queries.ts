import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import { defaultCatalogLimits } from '../../catalog/limits.ts';
import { overrideOf } from '../../catalog/overrides.ts';
import { mayBeForgotten } from '../../catalog/remembering.ts';
import type { Service } from '../../catalog/service.ts';
import { takesPart, withSplit } from '../../catalog/split.ts';
import type { OpenRequests } from '../../fleet/acknowledgement.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { formatAddress } from '../../model/address.ts';
import type { Instance } from '../../model/instance.ts';
import { instanceKey, policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { byWhom, effectName, type Override } from '../../model/override.ts';
import { type Auth, secretFileOf } from '../../model/policy/auth.ts';
import { type Canary, describeCanary } from '../../model/policy/canary.ts';
import { isChallengeTarget, isChoiceOnly, isRouteKey, serviceOfTarget } from '../../model/route-target.ts';
import type { Registry } from '../../registry/registry.ts';
import { hostsWithoutCertificate } from '../../render/certificate-hosts.ts';
import { describePace } from '../../render/check-pace.ts';
import { type Conflict, conflictsWith, describeConflict } from '../../render/conflict.ts';
import { describeRoute } from '../../render/matched-routes.ts';
import { cappedPrioritiesOver } from '../../render/routes.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import { countEjected, ejectedIn } from '../ejection/ejected-in.ts';
import type { Ejecting } from '../ejection/ejecting.ts';
import type { Guarding } from '../guard/guarding.ts';
import type { HeldEntries } from '../guard/held-entries.ts';
import type { HistoryView, TrafficHistory } from '../history/traffic-history.ts';
import { shownService } from '../pipeline/effective-catalog.ts';
import type { Balancer } from '../reconcile/balancer.ts';
import { type CertificatesView, type OwnCertificates, readCertificates } from './certificates-view.ts';
import { type Explanation, explain, type Look } from './explain.ts';
import { type FleetMember, readFleet } from './fleet-members.ts';
import { downIn, lookedAt, type NotServed, refusedOf, takenOutOf } from './not-served.ts';
import { type ServiceDetail, type ServiceView, viewOf, type Window } from './service-view.ts';

export type BalanceQueriesParts = {
  readonly balancer: Balancer;
  readonly guarding: Pick<Guarding, 'status'>;
  readonly ejecting: Pick<Ejecting, 'status'>;
  readonly heldEntries: Pick<HeldEntries, 'instancesOf'>;
  readonly link: RuntimeLink;
  /** Where balancers write their acknowledgements; undefined: they write none. */
  readonly registry: Registry | undefined;
  readonly history: TrafficHistory;
  /** Why the file of users or keys lets nobody in; undefined: it is in use. */
  readonly secretProblem: (file: string) => string | undefined;
  /** Why certificates of clients let nobody in to this service; undefined: no reason is known. */
  readonly certificateProblem: (service: string) => string | undefined;
  /** This balancer's name in the fleet. */
  readonly id: string;
  readonly ownCertificates: () => OwnCertificates;
  /** The open requests of the instances that drain, by `service/instance`, where the balancer counts them. */
  readonly openRequests: () => ReadonlyMap<string, OpenRequests>;
  /** The part of this balancer in rate limits of the fleet, for people. */
  readonly fleetLimit?: () => string | undefined;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly wall: () => Date;
};

type Rejection = NonNullable<Look['rejection']>;

// Several pages may be open, and each of them asks every two seconds.
const askedEveryMs = 1000;
const readMs = 1500;
const mostConflicts = 20;

const unknownRejection = {
  reason: 'unknown: more entries are refused than this balancer remembers',
  lastGoodServes: false,
};

/** Answers what people ask: services, their instances, and why an instance is or is not served. Asks HAProxy for the traffic. */
export class BalanceQueries {
  readonly #parts: BalanceQueriesParts;
  #fleet: { readonly at: number; readonly members: Promise<readonly FleetMember[]> } | undefined;
  #notServed: { readonly at: number; readonly list: Promise<NotServed> } | undefined;
  #certificates: { readonly at: number; readonly view: Promise<CertificatesView> } | undefined;

  constructor(parts: BalanceQueriesParts) {
    this.#parts = parts;
  }

  /** The balancers of the fleet; none when the registry does not answer. */
  fleet(): Promise<readonly FleetMember[]> {
    const { registry, now } = this.#parts;
    if (registry === undefined) return Promise.resolve([]);
    if (this.#fleet === undefined || now() - this.#fleet.at > askedEveryMs)
      this.#fleet = { at: now(), members: readFleet(registry).catch(() => []) };
    return this.#fleet.members;
  }

  /** All hosts with a certificate of the registry or of the folder, and those that still wait for one. */
  certificates(): Promise<CertificatesView> {
    const { registry, id, ownCertificates, now, wall } = this.#parts;
    if (this.#certificates === undefined || now() - this.#certificates.at > askedEveryMs) {
      this.#certificates = { at: now(), view: readCertificates(registry, id, ownCertificates(), wall().getTime()) };
    }
    return this.#certificates.view;
  }

  async services(): Promise<readonly ServiceView[]> {
    const traffic = await this.#fromHaproxy((link) => link.backendTraffic());
    const { effective } = this.#parts.balancer;
    const routes = this.#routes();
    const ejections = countEjected(this.#parts.ejecting.status());
    return [...effective.guarded.services.values()]
      .map((guarded) => shownService(effective, guarded))
      .map((service) => {
        const { name } = service;
        const counts = { held: this.#heldOf(service), ejected: ejections.get(name) ?? 0 };
        return viewOf(service, counts, routes.get(name) ?? [], traffic?.get(name));
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One service with its instances, by id, or with those of `window`; undefined when there is none of this name. */
  async service(name: ServiceName, window?: Window): Promise<ServiceDetail | undefined> {
    const { effective } = this.#parts.balancer;
    const guarded = effective.guarded.services.get(name);
    if (guarded === undefined) return undefined;
    const service = shownService(effective, guarded);
    const { accepted, overrides } = effective.guarded;
    const [backends, servers] = await Promise.all([
      this.#fromHaproxy((link) => link.backendTraffic()),
      this.#fromHaproxy((link) => link.serverTraffic(name)),
    ]);
    const ejections = this.#parts.ejecting.status();
    const ejected = ejectedIn(ejections, name);
    const inOrder = [...service.instances.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const instancesById = (window ? inOrder.slice(window.from, window.from + window.most) : inOrder).map(
      (instance) => ({
        id: instance.id,
        address: formatAddress(instance.address),
        weight: instance.weight,
        state: instance.state,
        version: instance.version,
        zone: instance.zone,
        held: !service.registered.has(instance.id) || accepted.get(instanceKey(name, instance.id))?.held !== undefined,
        override: describeOverride(overrideOf(overrides, name, instance.id)),
        ejection: ejected.get(instance.id),
        traffic: servers?.get(instance.id),
      }),
    );
    const routes = this.#routes().get(name) ?? [];
    const conflicts = this.#conflictsWith(name).slice(0, mostConflicts).map(describeConflict);
    const counts = { held: this.#heldOf(service), ejected: countEjected(ejections).get(name) ?? 0 };
    return {
      ...viewOf(service, counts, routes, backends?.get(name)),
      instancesById,
      conflicts,
    };
  }

  /** To be called with each request of the access log. */
  tookRequest(service: string, ms: number): void {
    this.#parts.history.took(service, ms);
  }

  /** The last hour of a service, or of all of them. */
  history(service?: ServiceName): HistoryView {
    const { history, now, wall } = this.#parts;
    return history.of(service, { nowMs: now(), wallMs: wall().getTime() });
  }

  /** The instances that get no new requests, and why. */
  notServed(): Promise<NotServed> {
    const { now } = this.#parts;
    if (this.#notServed === undefined || now() - this.#notServed.at > askedEveryMs)
      this.#notServed = { at: now(), list: this.#readNotServed() };
    return this.#notServed.list;
  }

  async #readNotServed(): Promise<NotServed> {
    const { balancer, openRequests } = this.#parts;
    const traffic = await this.#fromHaproxy((link) => link.backendTraffic());
    const { effective } = balancer;
    const { rejected, quarantined, catalog } = balancer.status();
    const services = [...effective.guarded.services.values()].map((one) => shownService(effective, one));
    const { ask, down: downCount } = lookedAt(services, (name) => traffic?.get(name)?.up);
    const down = await Promise.all(
      ask.map(async (service) => downIn(service, await this.#fromHaproxy((link) => link.serverTraffic(service.name)))),
    );
    const override = (service: ServiceName, id: InstanceId) =>
      describeOverride(overrideOf(catalog.overrides, service, id));
    const out = takenOutOf(services, override, openRequests());
    return { down: down.flat(), downCount, ...out, refused: refusedOf([...rejected, ...quarantined]) };
  }

  async explain(service: ServiceName, id: InstanceId): Promise<Explanation> {
    const servers = await this.#fromHaproxy((link) => link.serverTraffic(service));
    const { balancer, guarding, ejecting, now } = this.#parts;
    const { catalog, served, desired, pendingRemovals, pending, paced, refused, quarantined, rejections } =
      balancer.status();
    const key = instanceKey(service, id);
    const entry = catalog.accepted.get(key);
    const held = entry?.held;
    const rejection =
      rejections.of(catalog, key) ?? (entry === undefined ? await this.#forgotten(catalog, key) : undefined);
    const guarded = guarding.status().find((one) => one.service === service && one.instances.includes(id));
    const { requested, catalog: effective } = balancer.effective;
    const whole = requested.catalog.services.get(service);
    const unsplit = whole?.instances.get(id);
    const instance = whole && withSplit(whole).instances.get(id);
    const servedPolicy = effective.services.get(service)?.policy ?? whole?.policy;
    const backend = desired.backends.get(service);
    return explain({
      service,
      id,
      held: held && { reason: held.reason, leftMs: held.until && Math.max(0, Math.round(held.until - now())) },
      key: entry && { revision: String(entry.revision), leased: entry.leased },
      rejection: rejection && { reason: rejection.reason, lastGoodServes: rejection.lastGoodServes },
      policyRejection:
        rejections.of(catalog, policyKey(service)) ?? (catalog.withheld.has(service) ? unknownRejection : undefined),
      secretProblem: this.#secretProblem(service, servedPolicy?.auth),
      registered: catalog.services.get(service)?.registered.get(id),
      instance,
      emptySplit:
        unsplit !== undefined && takesPart(unsplit) && instance?.weight === 0
          ? { version: unsplit.version }
          : undefined,
      canary: canaryOf(unsplit, whole?.policy.canary),
      override: describeOverride(overrideOf(catalog.overrides, service, id)),
      guardedForMs: guarded?.endsInMs,
      ejection: ejecting.status().find((one) => one.service === service && one.instance === id),
      desired: backend?.servers.get(id),
      checkPace: backend && describePace(backend),
      fleetLimit: servedPolicy?.rateLimit?.scope === 'fleet' ? this.#parts.fleetLimit?.() : undefined,
      served: served.backends.get(service)?.servers.get(id),
      pendingRemoval: pendingRemovals.has(`${service}/${id}`),
      pendingReload: pending,
      refused,
      paced: paced.get(service),
      quarantined: quarantined.find((one) => one.key === key || one.key === policyKey(service)),
      unservedPort: servedPolicy?.port === whole?.policy.port ? undefined : whole?.policy.port,
      routes: this.#routes().get(service) ?? [],
      conflicts: this.#conflictsWith(service),
      waitingHosts: whole === undefined ? [] : hostsWithoutCertificate(whole, catalog),
      traffic: servers?.get(id),
    });
  }

  #secretProblem(service: ServiceName, auth: Auth | undefined): string | undefined {
    if (auth?.certificate !== undefined) return this.#parts.certificateProblem(service);
    const file = secretFileOf(auth);
    return file && this.#parts.secretProblem(file);
  }

  /** Reads the entry from the registry, because a catalog remembers only some thousands of rejected entries. */
  async #forgotten(catalog: Catalog, key: string): Promise<Rejection | undefined> {
    const { registry } = this.#parts;
    if (registry === undefined || !mayBeForgotten(catalog, key)) return undefined;
    try {
      const { entries } = await registry.read(key, timeLimit(readMs));
      const entry = entries.find((one) => one.key === key);
      if (entry === undefined) return undefined;
      const snapshot = { kind: 'snapshot', history: { kind: 'first' }, revision: entry.revision, cluster: '' } as const;
      const folded = foldEvent(emptyCatalog, { ...snapshot, entries: new Map([[key, entry]]) }, defaultCatalogLimits);
      return { reason: folded.catalog.rejected.get(key)?.reason ?? unknownRejection.reason, lastGoodServes: false };
    } catch {
      return unknownRejection;
    }
  }

  #conflictsWith(service: ServiceName): readonly Conflict[] {
    const { conflicts, desired } = this.#parts.balancer.status();
    const others = conflictsWith(conflicts, service).filter(
      ({ kind, winner }) => kind !== 'capped-priority' || winner !== service,
    );
    return [...others, ...(desired.routeTable ? cappedPrioritiesOver(desired.routeTable, service) : [])];
  }

  /** How many instances the registry does not have any more: guarded ones, and those of held entries. */
  #heldOf({ name, instances, registered }: Service): number {
    return Math.max(0, instances.size - registered.size) + this.#parts.heldEntries.instancesOf(name);
  }

  #routes(): ReadonlyMap<ServiceName, readonly string[]> {
    const routes = new Map<ServiceName, string[]>();
    for (const [route, target] of this.#parts.balancer.status().served.routes) {
      if (!isRouteKey(route) || isChoiceOnly(target) || isChallengeTarget(target)) continue;
      const service = serviceOfTarget(target);
      const known = routes.get(service);
      const shown = describeRoute(route, target);
      if (known === undefined) routes.set(service, [shown]);
      else known.push(shown);
    }
    return routes;
  }

  /** Undefined while HAProxy does not answer: it may be starting. */
  async #fromHaproxy<T>(ask: (link: RuntimeLink) => Promise<T>): Promise<T | undefined> {
    const { link } = this.#parts;
    if (!link.connected) return undefined;
    return ask(link).catch(() => undefined);
  }
}

function describeOverride(override: Override | undefined): string | undefined {
  return override && effectName(override.effect) + byWhom(override);
}

/** The requests that a canary gives to an instance. */
function canaryOf(instance: Instance | undefined, canary: Canary | undefined): string | undefined {
  if (instance === undefined || canary === undefined || instance.version !== canary.version) return undefined;
  return takesPart(instance) ? describeCanary(canary) : undefined;
}
