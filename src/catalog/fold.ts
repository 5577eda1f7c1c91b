import { Map as PersistentMap } from 'immutable';
import { type Instance, parseInstance } from '../model/instance.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { type Override, parseOverride } from '../model/override.ts';
import { accepted, type Parsed, refused } from '../model/parsed.ts';
import { defaultPolicy, type Policy, parsePolicy } from '../model/policy.ts';
import type { Revision } from '../model/revision.ts';
import type { ServiceState } from '../model/service-state.ts';
import { TouchedGathering } from '../model/touched.ts';
import type { Entry } from '../registry/registry.ts';
import type { Catalog, Folded, Rejection, Removal, Service } from './catalog.ts';
import { parseKey, type Subject } from './key.ts';
import { beyondLimits, beyondValue, type CatalogLimits, mostRejected, type NoRoom, rejectedKey } from './limits.ts';
import { askersBeside, type Numbers, withNumber, withoutNumber } from './numbers.ts';
import {
  deleteOverride,
  heldBy,
  type Overrides,
  type OverrideTarget,
  type OverrideTransition,
  overridden,
  overrideAnew,
  overrideOf,
  setOverride,
} from './overrides.ts';
import { type Since, sinceOf } from './since.ts';
import { type Scope, type Waiting, waitFor, waitingFor, withoutWaiting } from './waiting.ts';

/** One fold while it is made. */
export class Fold {
  readonly #before: Catalog;
  readonly #services: Catalog['services'];
  readonly #accepted: Catalog['accepted'];
  readonly #rejected: Catalog['rejected'];
  #overrides: Overrides;
  readonly #touched = new TouchedGathering();
  /** Those that this fold changes in place: one at a time would leave ten thousand copies to collect. */
  readonly #numbers = new Map<ServiceName, Numbers>();
  readonly #rejections: Rejection[] = [];
  readonly #removals: Removal[] = [];
  readonly #transitions: OverrideTransition[] = [];
  #changes = 0;

  readonly #limits: CatalogLimits;
  #bytes: number;
  #waiting: Waiting;
  /** The services that something left, whose room others may take. */
  readonly #roomier = new Set<string>();
  #roomierAtAll = false;

  constructor(catalog: Catalog, limits: CatalogLimits) {
    this.#before = catalog;
    this.#limits = limits;
    this.#bytes = catalog.bytes;
    this.#waiting = catalog.waiting;
    this.#services = catalog.services.asMutable();
    this.#accepted = catalog.accepted.asMutable();
    this.#rejected = catalog.rejected.asMutable();
    this.#overrides = catalog.overrides;
  }

  put(entry: Entry): void {
    const { key, value } = entry;
    const subject = parseKey(key);
    if (subject.ok && subject.value.kind === 'other') return;
    this.#waiting = withoutWaiting(this.#waiting, subject.ok ? serviceIn(subject.value) : undefined, key);
    const before = this.#accepted.get(key);
    const same = before?.value === value;
    const bytes = same ? 0 : Buffer.byteLength(value);
    const parsed = !subject.ok
      ? subject
      : entry.refused === undefined
        ? this.#take(subject.value, entry, bytes)
        : refused(entry.refused);
    if (!parsed.ok) {
      this.#reject(entry, parsed.reason);
      return;
    }
    const growth = same ? 0 : bytes - bytesOf(before);
    const beyond = subject.ok && !same ? this.#beyondLimits(subject.value, before === undefined, growth) : undefined;
    if (beyond !== undefined) {
      this.#reject(entry, beyond.reason);
      this.#waiting = waitFor(this.#waiting, beyond, entry);
      return;
    }
    if (growth < 0) this.#roomierAtAll = true;
    this.#rejected.delete(key);
    this.#accepted.set(key, entry);
    this.#bytes += growth;
    if (!same || isOtherPolicy(subject, before, entry)) parsed.value();
  }

  delete(key: string): void {
    this.#rejected.delete(rejectedKey(key));
    const known = this.#accepted.get(key);
    const subject = parseKey(key);
    if (subject.ok) this.#waiting = withoutWaiting(this.#waiting, serviceIn(subject.value), key);
    if (!subject.ok || known === undefined) return;
    this.#roomierAtAll = true;
    if (subject.value.kind === 'instance') this.#roomier.add(subject.value.service);
    this.#accepted.delete(key);
    this.#bytes -= bytesOf(known);
    switch (subject.value.kind) {
      case 'instance': {
        const { service: name, id } = subject.value;
        const instance = this.#services.get(name)?.instances.get(id);
        // The lease of an entry that was held had ended before: now somebody, or its health check, let go of it.
        const leased = known.leased && known.held === undefined;
        if (instance !== undefined) this.#removals.push({ instance, leased });
        this.#instance(name, id, undefined);
        break;
      }
      case 'policy':
        this.#policy(subject.value.service, undefined, undefined);
        break;
      case 'override':
        this.override(subject.value, undefined, 'removed');
        break;
      case 'other':
        break;
    }
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
      for (const id of ids) this.#touched.instance(name, id);
    }
    this.#hold(name);
  }

  result(revision: Revision): Folded {
    for (const service of this.#roomier) this.#takeWaiting({ service });
    if (this.#roomierAtAll) this.#takeWaiting({ service: undefined });
    for (const numbers of this.#numbers.values()) numbers.asImmutable();
    return {
      catalog: {
        ...this.#before,
        revision,
        services: this.#services.asImmutable(),
        overrides: this.#overrides,
        bytes: this.#bytes,
        waiting: this.#waiting,
        accepted: this.#accepted.asImmutable(),
        rejected: this.#rejected.asImmutable(),
      },
      touched: this.#touched.take(),
      changes: this.#changes,
      rejections: this.#rejections,
      removals: this.#removals,
      overrides: this.#transitions,
    };
  }

  /** Takes those that wait for room, until one does not find any. */
  #takeWaiting(scope: Scope): void {
    for (const entry of waitingFor(this.#waiting, scope)) {
      this.put(entry);
      if (this.#accepted.get(entry.key) !== entry) return;
    }
  }

  #reject(entry: Entry, reason: string): void {
    const { revision } = entry;
    const key = rejectedKey(entry.key);
    const rejection = { key, reason, revision, lastGoodServes: this.#accepted.has(key) };
    const known = this.#rejected.get(key);
    if (known !== undefined || this.#rejected.size < mostRejected) this.#rejected.set(key, rejection);
    if (known?.reason !== reason) this.#rejections.push(rejection);
  }

  #beyondLimits(subject: Subject, isNew: boolean, growth: number): NoRoom | undefined {
    // Whoever makes an entry smaller, or puts one in the place of another, is never refused for what others have.
    if (!isNew && growth <= 0) return undefined;
    const service = subject.kind === 'override' ? undefined : serviceIn(subject);
    const found = service === undefined ? undefined : this.#services.get(service);
    const joins = isNew && subject.kind === 'instance';
    return beyondLimits(
      {
        entries: this.#accepted.size + (isNew ? 1 : 0),
        services: this.#services.size + (service !== undefined && found === undefined ? 1 : 0),
        totalBytes: this.#bytes + growth,
        joins: joins ? { service: subject.service, instances: (found?.registered.size ?? 0) + 1 } : undefined,
      },
      this.#limits,
    );
  }

  #take(subject: Subject, entry: Entry, bytes: number): Parsed<() => void> {
    const tooLong = beyondValue(bytes, this.#limits);
    return tooLong === undefined ? this.#parse(subject, entry) : refused(tooLong);
  }

  /** What is to be done with the value. */
  #parse(subject: Subject, entry: Entry): Parsed<() => void> {
    const { value } = entry;
    switch (subject.kind) {
      case 'instance': {
        const { service, id } = subject;
        const instance = parseInstance(service, id, value);
        return instance.ok ? accepted(() => this.#instance(service, id, instance.value)) : instance;
      }
      case 'policy': {
        const policy = parsePolicy(value);
        return policy.ok ? accepted(() => this.#policy(subject.service, policy.value, sinceOf(entry))) : policy;
      }
      case 'override': {
        const override = parseOverride(value);
        if (override.ok && override.value.effect.kind === 'pause' && subject.scope !== '*')
          return refused('kind: only a whole service can be paused, overrides/<service>/*');
        return override.ok ? accepted(() => this.override(subject, override.value, 'removed')) : override;
      }
      case 'other':
        return accepted(() => undefined);
    }
  }

  #instance(name: ServiceName, id: InstanceId, instance: Instance | undefined): void {
    this.#touched.instance(name, id);
    this.#update(name, (service) => {
      const served = instance && overridden(instance, overrideOf(this.#overrides, name, id));
      const registered = set(service.registered, id, instance);
      const shared = service.instances === service.registered && served === instance;
      const numbers = this.#number(service, id, instance !== undefined);
      return { ...service, registered, numbers, instances: shared ? registered : set(service.instances, id, served) };
    });
    if (this.#overrides.has(name)) this.#hold(name);
  }

  #number({ name, registered, numbers }: Service, id: InstanceId, isThere: boolean): Numbers {
    if (isThere === registered.has(id)) return numbers;
    const own = this.#numbers.get(name) === numbers ? numbers : numbers.asMutable();
    const after = isThere ? withNumber(own, id) : withoutNumber(own, id);
    if (after.isEmpty()) {
      // One that is empty would stay changeable.
      this.#numbers.delete(name);
      return PersistentMap();
    }
    this.#numbers.set(name, after);
    for (const asker of askersBeside(after, id)) this.#touched.instance(name, asker);
    return after;
  }

  #policy(name: ServiceName, policy: Policy | undefined, since: Since | undefined): void {
    this.#touched.service(name);
    const declared = policy !== undefined;
    this.#update(name, (service) => ({ ...service, policy: policy ?? defaultPolicy, declared, since }));
  }

  #hold(name: ServiceName): void {
    const before = this.#services.get(name);
    const held = heldBy(this.#overrides.get(name), before?.instances ?? PersistentMap());
    if (isSame(before?.held, held)) return;
    this.#touched.service(name);
    this.#put(name, (service) => ({ ...service, held }));
  }

  #update(name: ServiceName, change: (service: Service) => Service): void {
    this.#put(name, change);
    this.#changes += 1;
  }

  #put(name: ServiceName, change: (service: Service) => Service): void {
    const before = this.#services.get(name);
    const after = change(before ?? emptyService(name));
    const isThere = after.declared || after.instances.size > 0 || after.held !== undefined;
    if (isThere) this.#services.set(name, after);
    else this.#services.delete(name);
    if ((before !== undefined) !== isThere) this.#touched.service(name);
  }
}

const isSame = (a: ServiceState | undefined, b: ServiceState | undefined): boolean =>
  a?.kind === 'pause' && b?.kind === 'pause' ? a.mostMs === b.mostMs : a?.kind === b?.kind;

/** Whether a policy with the same text was deleted and put again, or is held now. */
const isOtherPolicy = (subject: Parsed<Subject>, before: Entry | undefined, after: Entry): boolean =>
  subject.ok && subject.value.kind === 'policy' && before !== undefined && sinceOf(before) !== sinceOf(after);

const serviceIn = (subject: Subject): ServiceName | undefined =>
  subject.kind === 'other' ? undefined : subject.service;

const bytesOf = (entry: Entry | undefined): number => (entry === undefined ? 0 : Buffer.byteLength(entry.value));

function set(instances: Service['instances'], id: InstanceId, instance: Instance | undefined): Service['instances'] {
  return instance === undefined ? instances.delete(id) : instances.set(id, instance);
}

/** A service that nobody has declared or joined. */
export function emptyService(name: ServiceName): Service {
  const none = PersistentMap<InstanceId, Instance>();
  const policy = defaultPolicy;
  return {
    name,
    policy,
    declared: false,
    since: undefined,
    registered: none,
    instances: none,
    numbers: PersistentMap(),
    held: undefined,
  };
}
