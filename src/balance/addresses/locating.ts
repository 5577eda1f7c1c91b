import type { Logger } from 'pino';
import { type AddressRules, hasPort, type OwnListener } from '../../addresses/address-rules.ts';
import { type Located, locate } from '../../addresses/locate.ts';
import { HostNames, type NamesPolicy, type Users } from '../../addresses/names.ts';
import { type Catalog, emptyCatalog, type Folded, type Unserved } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import type { Instance } from '../../model/instance.ts';
import { instanceKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { NameLookups, type NameLookupsParts } from './name-lookups.ts';
import { checkPortOf, PermittedAddresses, type PermittedAddressesParts } from './permitted-addresses.ts';

export type LocatingParts = PermittedAddressesParts &
  NameLookupsParts & {
    readonly names: NamesPolicy;
    readonly logger: Logger;
    /** Gets the instances that have another address, none any more, or another reason to have none. */
    readonly onChange: (users: Users) => void;
  };

/** An instance that has a host name, or whose address is refused. */
type Entry = {
  /** Undefined: it has an IP address, which is refused. */
  readonly name: string | undefined;
  /** The last result of `locate`, and its instance; undefined when it has to be located again. */
  made: { readonly of: Instance; readonly located: Located } | undefined;
};

/** An instance that is not served. `final`: waiting does not help. */
type Absent = { readonly key: string; readonly reason: string; readonly final: boolean };

/** A service with the addresses of its instances. */
type Made = {
  readonly of: Service;
  readonly located: Service;
  /** The instances that are not served as they are registered. */
  readonly unserved: Map<InstanceId, Unserved>;
  /** The instances of `unserved` that are not served at all. */
  readonly absent: Set<InstanceId>;
  /** The instances that may have come, gone or changed since. */
  readonly differing: Set<InstanceId>;
};

/**
 * The stage `located` of the effective catalog: gives each instance with a host name its address, and leaves out instances that
 * have no address, or one that is not allowed. The cost grows with these instances and not with the others.
 */
export class Locating {
  readonly #onChange: (users: Users) => void;
  readonly #rules: AddressRules;
  readonly #log: LimitedLog;
  readonly #names: HostNames;
  readonly lookups: NameLookups;
  readonly #permitted: PermittedAddresses;
  readonly #entries = new Map<ServiceName, Map<InstanceId, Entry>>();
  readonly #made = new Map<ServiceName, Made>();
  /** Services whose policy changed, so that the check may ask another port. */
  readonly #ofOtherPolicies = new Set<ServiceName>();
  #answered: { readonly of: Catalog; readonly catalog: Catalog } | undefined;
  #catalog: Catalog = emptyCatalog;

  constructor(parts: LocatingParts) {
    this.#onChange = parts.onChange;
    this.#rules = parts.rules;
    this.#log = new LimitedLog(parts.logger, parts.now, 'addresses-untold');
    this.#names = new HostNames(parts.names);
    this.lookups = new NameLookups(parts, this.#names, this.#log, (users) => this.#locateAgain(users));
    this.#permitted = new PermittedAddresses(parts, () => this.#placeAgain(() => true));
  }

  fold({ catalog, dirty }: Folded): void {
    this.#catalog = catalog;
    for (const [service, mark] of dirty) {
      const registered = catalog.services.get(service)?.registered;
      if (mark.whole) this.#ofOtherPolicies.add(service);
      for (const id of mark.instances) {
        const instance = registered?.get(id);
        if (instance === undefined) this.differs(service, id);
        else this.place(instance);
      }
    }
    this.lookups.begin();
  }

  /** Takes a whole catalog. `known`: the last addresses of names. */
  adopt(catalog: Catalog, known: ReadonlyMap<string, string> = new Map()): void {
    this.#catalog = catalog;
    this.#made.clear();
    this.#answered = undefined;
    for (const service of catalog.services.values()) {
      this.#takeCheckPort(service.name, service);
      for (const one of service.instances.values()) this.place(one);
    }
    for (const [name, address] of known) {
      if (this.#rules.refusedHost(address) === undefined) this.#names.remember(name, address);
    }
    this.lookups.begin();
  }

  /** Takes an instance that may be served: a registered or a guarded one. */
  place(instance: Instance): void {
    const { service, id, address } = instance;
    const before = this.#entries.get(service)?.get(id);
    const name = address.family === 'name' ? address.host : undefined;
    if (before?.name !== undefined && before.name !== name) this.#names.unwant(before.name, service, id);
    if (name !== undefined) this.#names.want(name, service, id);
    const concerns = name !== undefined || this.#permitted.refused(service, address) !== undefined;
    if (concerns) {
      const entries = this.#entries.get(service) ?? new Map<InstanceId, Entry>();
      this.#entries.set(service, entries);
      if (before === undefined || before.name !== name) entries.set(id, { name, made: undefined });
    } else if (before !== undefined) this.#forget(service, id);
    this.differs(service, id);
  }

  /**
   * Takes the addresses on which the running HAProxy listens, with the ports of `tcp` services. A port that only the next
   * configuration asks for may belong to an instance: HAProxy then refuses that configuration.
   */
  listening(listeners: readonly OwnListener[]): void {
    const differing = this.#permitted.listening(listeners);
    if (differing.length === 0) return;
    this.#placeAgain(({ address }, checkPort) =>
      differing.some((one) => hasPort(one, address.port) || (checkPort !== undefined && hasPort(one, checkPort))),
    );
  }

  located(catalog: Catalog): Catalog {
    if (this.#answered?.of === catalog) return this.#answered.catalog;
    for (const name of this.#ofOtherPolicies) {
      const service = catalog.services.get(name);
      if (this.#takeCheckPort(name, service)) for (const one of service?.instances.values() ?? []) this.place(one);
    }
    this.#ofOtherPolicies.clear();
    const services = catalog.services.withMutations((all) => {
      for (const [name, entries] of this.#entries) {
        const service = all.get(name);
        if (service === undefined) for (const id of [...entries.keys()]) this.#forget(name, id);
        else all.set(name, this.#serviceOf(service, entries));
      }
    });
    const located = services === catalog.services ? catalog : { ...catalog, services };
    this.#answered = { of: catalog, catalog: located };
    return located;
  }

  /**
   * The same for a service that the balancer does not have: one that registry changes would make. Changes nothing, and looks nothing
   * up, so an instance with an unknown name is among the unserved ones.
   */
  preview(service: Service): { readonly located: Service; readonly unserved: readonly Unserved[] } {
    const checkPort = checkPortOf(service);
    const unserved: Unserved[] = [];
    const instances = service.instances.withMutations((all) => {
      for (const [id, instance] of service.instances) {
        const { address } = instance;
        const resolution = address.family === 'name' ? this.#names.of(address.host) : undefined;
        const found = locate(instance, resolution, (at) => this.#permitted.refusedWith(service.name, at, checkPort));
        if (found.kind === 'at') {
          if (found.instance !== instance) all.set(id, found.instance);
          continue;
        }
        all.delete(id);
        unserved.push({ key: instanceKey(service.name, id), reason: found.reason, lastGoodServes: false });
      }
    });
    return { located: instances === service.instances ? service : { ...service, instances }, unserved };
  }

  /** Leaves out what `located` does not know of: see `PermittedAddresses.permitted`. */
  permitted(catalog: Catalog, names: Iterable<ServiceName>): ReturnType<PermittedAddresses['permitted']> {
    return this.#permitted.permitted(catalog, names);
  }

  /** The instances that are not served, and those at the last address of a name that does not resolve any more. */
  *unserved(): Generator<Unserved> {
    for (const { unserved } of this.#made.values()) yield* unserved.values();
  }

  /** The instances that are not served. Only a name may get another address by itself. */
  *absent(): Generator<Absent> {
    for (const [service, { unserved, absent }] of this.#made) {
      for (const [id, { key, reason }] of unserved) {
        if (absent.has(id)) yield { key, reason, final: this.#entries.get(service)?.get(id)?.name === undefined };
      }
    }
  }

  get count(): number {
    let count = 0;
    for (const { unserved } of this.#made.values()) count += unserved.size;
    return count;
  }

  of(service: ServiceName, id: InstanceId): Unserved | undefined {
    return this.#made.get(service)?.unserved.get(id);
  }

  close(): void {
    this.lookups.close();
    this.#permitted.close();
    this.#log.close();
  }

  /** Changes only what differs from the last result: a service may have thousands of names. */
  #serviceOf(service: Service, entries: ReadonlyMap<InstanceId, Entry>): Service {
    const { name } = service;
    const known = this.#made.get(name);
    if (known?.of === service && known.differing.size === 0) return known.located;
    const made =
      (known && this.#makeOf(service, entries, known.differing, known)) ??
      this.#makeOf(service, entries, entries.keys());
    if (made === undefined || entries.size === 0) {
      this.#made.delete(name);
      return service;
    }
    this.#made.set(name, made);
    return made.located;
  }

  /** Undefined: more instances differ from `before` than `ids` names. */
  #makeOf(
    service: Service,
    entries: ReadonlyMap<InstanceId, Entry>,
    ids: Iterable<InstanceId>,
    before?: Made,
  ): Made | undefined {
    const unserved = before?.unserved ?? new Map<InstanceId, Unserved>();
    const absent = before?.absent ?? new Set<InstanceId>();
    const instances = (before?.located.instances ?? service.instances).withMutations((all) => {
      for (const id of ids) {
        const instance = service.instances.get(id);
        const entry = entries.get(id);
        unserved.delete(id);
        absent.delete(id);
        if (instance === undefined) {
          all.delete(id);
          this.#forget(service.name, id);
          continue;
        }
        const located = entry && this.#locate(instance, entry);
        if (located?.kind === 'nowhere') {
          all.delete(id);
          absent.add(id);
        } else all.set(id, located?.instance ?? instance);
        const reason = located?.kind === 'nowhere' ? located.reason : located?.trouble;
        if (reason === undefined) continue;
        unserved.set(id, { key: instanceKey(service.name, id), reason, lastGoodServes: !absent.has(id) });
      }
    });
    if (instances.size + absent.size !== service.instances.size) return undefined;
    const located = instances === service.instances ? service : { ...service, instances };
    return { of: service, located, unserved, absent, differing: new Set() };
  }

  #locate(instance: Instance, entry: Entry): Located {
    if (entry.made?.of === instance) return entry.made.located;
    const resolution = entry.name === undefined ? undefined : this.#names.of(entry.name);
    const located = locate(instance, resolution, (place) => this.#permitted.refused(instance.service, place));
    if (located.kind === 'nowhere' && entry.name === undefined && entry.made === undefined) {
      const fields = { event: 'address-refused', key: instanceKey(instance.service, instance.id) };
      this.#log.warn({ ...fields, reason: located.reason }, 'instance not served');
    }
    entry.made = { of: instance, located };
    return located;
  }

  /** Takes the port that the health check of the service asks. Returns whether it is another one than before. */
  #takeCheckPort(name: ServiceName, service: Service | undefined): boolean {
    if (!this.#permitted.takeCheckPort(name, service)) return false;
    for (const entry of this.#entries.get(name)?.values() ?? []) entry.made = undefined;
    return true;
  }

  #forget(service: ServiceName, id: InstanceId): void {
    const entries = this.#entries.get(service);
    const entry = entries?.get(id);
    if (entries === undefined || entry === undefined) return;
    if (entry.name !== undefined) this.#names.unwant(entry.name, service, id);
    entries.delete(id);
    if (entries.size > 0) return;
    this.#entries.delete(service);
    this.#made.delete(service);
  }

  /** Takes note that an instance came, went or changed. */
  differs(service: ServiceName, id: InstanceId): void {
    this.#answered = undefined;
    this.#made.get(service)?.differing.add(id);
  }

  #locateAgain(users: Users): void {
    for (const [service, ids] of users) {
      const entries = this.#entries.get(service);
      for (const id of ids) {
        const entry = entries?.get(id);
        if (entry !== undefined) entry.made = undefined;
        this.differs(service, id);
      }
    }
    this.#onChange(users);
  }

  #placeAgain(concerns: (instance: Instance, checkPort: number | undefined) => boolean): void {
    for (const { name, registered } of this.#catalog.services.values()) {
      const ids = new Set<InstanceId>();
      for (const [id, instance] of registered) {
        if (!concerns(instance, this.#permitted.checkPort(name))) continue;
        ids.add(id);
        this.place(instance);
      }
      if (ids.size > 0) this.#locateAgain(new Map([[name, ids]]));
    }
  }
}
