import { Map as PersistentMap, type Set as PersistentSet } from 'immutable';
import { type Claim, type ClaimTarget, noClaim, sameClaim } from '../model/claim.ts';
import { type DirtySet, DirtySetBuilder } from '../model/dirty-set.ts';
import type { Instance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Override, OverrideTarget } from '../model/override.ts';
import { defaultPolicy, type Policy } from '../model/policy.ts';
import type { ServiceState } from '../model/route-target.ts';
import type { Catalog } from './catalog.ts';
import { type Claims, claimOf } from './claims.ts';
import { askersBeside, type Numbers, withNumber, withoutNumber } from './numbers.ts';
import {
  deleteOverride,
  type Overrides,
  type OverrideTransition,
  overridden,
  overrideAnew,
  overrideOf,
  setOverride,
  suspendedBy,
} from './overrides.ts';
import type { Service, Since } from './service.ts';

/** The services, overrides and claims of a fold while it is made. */
export class Serving {
  readonly #services: Catalog['services'];
  #overrides: Overrides;
  #claims: Claims;
  #withheld: PersistentSet<ServiceName>;
  readonly #dirty = new DirtySetBuilder();
  /** The number maps that this fold changes in place: a copy for each of ten thousand changes would be garbage. */
  readonly #numbers = new Map<ServiceName, Numbers>();
  readonly #transitions: OverrideTransition[] = [];
  #changes = 0;

  constructor({ services, overrides, claims, withheld }: Pick<Catalog, Served>) {
    this.#services = services.asMutable();
    this.#overrides = overrides;
    this.#claims = claims;
    this.#withheld = withheld;
  }

  get(name: ServiceName): Service | undefined {
    return this.#services.get(name);
  }

  /** Puts an override in force, or ends the one that is. */
  override({ service: name, scope }: OverrideTarget, override: Override | undefined, why: 'removed' | 'expired'): void {
    const target = { service: name, scope };
    const before = this.#overrides.get(name)?.get(scope);
    if (before !== undefined) {
      const reason = override === undefined ? why : 'replaced';
      this.#transitions.push({ ...target, kind: 'ended', override: before, reason });
    } else if (override === undefined) return;
    if (override !== undefined) this.#transitions.push({ ...target, kind: 'began', override });
    this.#overrides =
      override === undefined ? deleteOverride(this.#overrides, target) : setOverride(this.#overrides, target, override);
    this.#changes += 1;
    const service = this.#services.get(name);
    if (service !== undefined) {
      const { instances, ids } = overrideAnew(this.#overrides, target, service);
      if (ids.length > 0) this.#services.set(name, { ...service, instances });
      for (const id of ids) this.#dirty.instance(name, id);
    }
    this.#suspend(name);
  }

  result(): Pick<Catalog, Served> & {
    readonly dirty: DirtySet;
    readonly changes: number;
    readonly transitions: readonly OverrideTransition[];
  } {
    for (const numbers of this.#numbers.values()) numbers.asImmutable();
    return {
      services: this.#services.asImmutable(),
      overrides: this.#overrides,
      claims: this.#claims,
      withheld: this.#withheld,
      dirty: this.#dirty.take(),
      changes: this.#changes,
      transitions: this.#transitions,
    };
  }

  instance(name: ServiceName, id: InstanceId, instance: Instance | undefined): void {
    this.#dirty.instance(name, id);
    this.#update(name, (service) => {
      const served = instance && overridden(instance, overrideOf(this.#overrides, name, id));
      const registered = set(service.registered, id, instance);
      const shared = service.instances === service.registered && served === instance;
      const numbers = this.#number(service, id, instance !== undefined);
      return { ...service, registered, numbers, instances: shared ? registered : set(service.instances, id, served) };
    });
    if (this.#overrides.has(name)) this.#suspend(name);
  }

  #number({ name, registered, numbers }: Service, id: InstanceId, isThere: boolean): Numbers {
    if (isThere === registered.has(id)) return numbers;
    const own = this.#numbers.get(name) === numbers ? numbers : numbers.asMutable();
    const after = isThere ? withNumber(own, id) : withoutNumber(own, id);
    if (after.isEmpty()) {
      // An empty mutable map would stay mutable in the catalog, so a fresh one replaces it.
      this.#numbers.delete(name);
      return PersistentMap();
    }
    this.#numbers.set(name, after);
    for (const asker of askersBeside(after, id)) this.#dirty.instance(name, asker);
    return after;
  }

  policy(name: ServiceName, policy: Policy | undefined, since: Since | undefined): void {
    this.#dirty.service(name);
    const declared = policy !== undefined;
    if (declared) this.#withheld = this.#withheld.delete(name);
    this.#update(name, (service) => ({ ...service, policy: policy ?? this.#undeclared(name), declared, since }));
  }

  /** Has a service without a good policy answer 503 while the value of its policy key is not accepted, or ends that. */
  withhold(name: ServiceName, isWithheld: boolean): void {
    if (this.#withheld.has(name) === isWithheld) return;
    this.#withheld = isWithheld ? this.#withheld.add(name) : this.#withheld.delete(name);
    if (!this.#services.has(name)) return;
    this.#dirty.service(name);
    this.#update(name, (service) => (service.declared ? service : { ...service, policy: this.#undeclared(name) }));
  }

  #undeclared(name: ServiceName): Policy {
    return this.#withheld.has(name) ? withheldPolicy : defaultPolicy;
  }

  /** Sets the claims that operators allow a service, or all services. */
  claim(target: ClaimTarget, claim: Claim | undefined): void {
    const before = this.#claims;
    this.#claims = claim === undefined ? before.delete(target) : before.set(target, claim);
    this.#changes += 1;
    for (const name of target === '*' ? [...this.#services.keys()] : [target]) {
      const service = this.#services.get(name);
      const effective = claimOf(this.#claims, name);
      if (service === undefined || sameClaim(service.claim, effective)) continue;
      this.#services.set(name, { ...service, claim: effective });
      this.#dirty.service(name);
    }
  }

  #suspend(name: ServiceName): void {
    const before = this.#services.get(name);
    const suspended = suspendedBy(this.#overrides.get(name), before?.instances ?? PersistentMap());
    if (isSame(before?.suspended, suspended)) return;
    this.#dirty.service(name);
    this.#put(name, (service) => ({ ...service, suspended }));
  }

  #update(name: ServiceName, change: (service: Service) => Service): void {
    this.#put(name, change);
    this.#changes += 1;
  }

  #put(name: ServiceName, change: (service: Service) => Service): void {
    const before = this.#services.get(name);
    const after = change(before ?? this.#newService(name));
    const isThere = after.declared || after.instances.size > 0 || after.suspended !== undefined;
    if (isThere) this.#services.set(name, after);
    else this.#services.delete(name);
    if ((before !== undefined) !== isThere) this.#dirty.service(name);
  }

  #newService(name: ServiceName): Service {
    return { ...emptyService(name), policy: this.#undeclared(name), claim: claimOf(this.#claims, name) };
  }
}

type Served = 'services' | 'overrides' | 'claims' | 'withheld';

/** The rejected policy may protect the service. So no request reaches it. */
const withheldPolicy: Policy = { ...defaultPolicy, maintenance: true };

const isSame = (a: ServiceState | undefined, b: ServiceState | undefined): boolean =>
  a?.kind === 'pause' && b?.kind === 'pause' ? a.mostMs === b.mostMs : a?.kind === b?.kind;

function set(instances: Service['instances'], id: InstanceId, instance: Instance | undefined): Service['instances'] {
  return instance === undefined ? instances.delete(id) : instances.set(id, instance);
}

/** A service without a policy and instances. */
export function emptyService(name: ServiceName): Service {
  const none = PersistentMap<InstanceId, Instance>();
  const policy = defaultPolicy;
  return {
    name,
    policy,
    declared: false,
    since: undefined,
    claim: noClaim,
    registered: none,
    instances: none,
    numbers: PersistentMap(),
    suspended: undefined,
  };
}
