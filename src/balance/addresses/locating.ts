import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { type AddressRules, hasPort, machineList, type OwnListener } from '../../addresses/address-rules.ts';
import { type Located, locate } from '../../addresses/locate.ts';
import type { LookUp } from '../../addresses/look-up.ts';
import { HostNames, type Lookup, type LookupAnswer, type NamesPolicy, type Users } from '../../addresses/names.ts';
import { type Catalog, emptyCatalog, type Folded } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import type { Unserved } from '../../catalog/unserved.ts';
import { parseServerLine } from '../../haproxy/server-line.ts';
import { LimitedLog } from '../../logging/limited-log.ts';
import { type Address, formatAddress, parseHost } from '../../model/address.ts';
import type { Instance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { RenderProblem } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import { deferred } from '../../waiting/deferred.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

export type LocatingParts = {
  readonly rules: AddressRules;
  /** Where the settings have pointsman and HAProxy listen. */
  readonly own: readonly OwnListener[];
  readonly names: NamesPolicy;
  readonly lookUp: LookUp;
  readonly metrics?: Pick<BalanceMetrics, 'names' | 'nameLookups'> | undefined;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Told of the instances that are reached elsewhere than before, or not any more, or for another reason. */
  readonly onChange: (users: Users) => void;
  /** The addresses of this machine's interfaces. */
  readonly machine?: () => readonly string[];
};

/** An instance that is not served just as it is registered. */
type Entry = {
  /** Undefined where it has an IP address, which is refused. */
  readonly name: string | undefined;
  /** What the last look made of which instance; the same instance as long as nothing differs. */
  made: { readonly of: Instance; readonly located: Located } | undefined;
};

type Made = {
  readonly of: Service;
  readonly located: Service;
  /** Those that are not served as they are registered, and of them those that are not served at all. */
  readonly unserved: Map<InstanceId, Unserved>;
  readonly absent: Set<InstanceId>;
};

// In ms. An interface gets another address seldom.
const machineEveryMs = 30_000;

/**
 * Between the catalog and the templates: gives each instance that is registered with a host name the address of it, and leaves
 * out those that have none, or one that is not allowed. Looks up names beside the rounds. What it costs grows with the
 * instances that it is about, and not with the others.
 */
export class Locating {
  readonly #parts: LocatingParts;
  readonly #names: HostNames;
  readonly #log: LimitedLog;
  readonly #entries = new Map<ServiceName, Map<InstanceId, Entry>>();
  readonly #made = new Map<ServiceName, Made>();
  /** Instances of these that may differ since. */
  readonly #differing = new Map<ServiceName, Set<InstanceId>>();
  /** Where the checks of a service ask its instances, when that is another port than their own. */
  readonly #checkPorts = new Map<ServiceName, number>();
  /** Services whose policies may have another one by now. */
  readonly #ofOtherPolicies = new Set<ServiceName>();
  #answered: { readonly of: Catalog; readonly catalog: Catalog } | undefined;
  #catalog: Catalog = emptyCatalog;
  #interfaces: readonly string[];
  #machine: ReturnType<typeof machineList>;
  #listeners: readonly OwnListener[] = [];
  #own: readonly OwnListener[];
  readonly #machineTimer: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #resolved = deferred();
  #closed = false;

  constructor(parts: LocatingParts) {
    this.#parts = parts;
    this.#names = new HostNames(parts.names);
    this.#log = new LimitedLog(parts.logger, parts.now, 'addresses-untold');
    this.#own = parts.own;
    this.#interfaces = this.#readInterfaces();
    this.#machine = machineList(this.#interfaces);
    this.#machineTimer = setInterval(() => this.#lookAtMachine(), machineEveryMs);
    this.#machineTimer.unref();
  }

  /** Takes what a fold of the registry's changes means. */
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
    this.#look();
  }

  /** Looks at all of a catalog. `known`: the addresses that names had when they were served last. */
  adopt(catalog: Catalog, known: ReadonlyMap<string, string> = new Map()): void {
    this.#catalog = catalog;
    this.#made.clear();
    this.#differing.clear();
    this.#answered = undefined;
    for (const service of catalog.services.values()) {
      this.#takeCheckPort(service.name, service);
      for (const one of service.instances.values()) this.place(one);
    }
    for (const [name, address] of known) {
      if (this.#parts.rules.refusedHost(address) === undefined) this.#names.remember(name, address);
    }
    this.#look();
  }

  /** An instance that may be served: as it is registered, or held. */
  place(instance: Instance): void {
    const { service, id, address } = instance;
    const before = this.#entries.get(service)?.get(id);
    const name = address.family === 'name' ? address.host : undefined;
    if (before?.name !== undefined && before.name !== name) this.#names.unwant(before.name, service, id);
    if (name !== undefined) this.#names.want(name, service, id);
    const concerns = name !== undefined || this.#refuse(service, address) !== undefined;
    if (concerns) {
      const entries = this.#entries.get(service) ?? new Map<InstanceId, Entry>();
      this.#entries.set(service, entries);
      if (before === undefined || before.name !== name) entries.set(id, { name, made: undefined });
    } else if (before !== undefined) this.#forget(service, id);
    this.differs(service, id);
  }

  /**
   * Where HAProxy listens as it runs now: the ports of `tcp` services, too. Where a configuration only asks for a port, an
   * instance may have it, and HAProxy then refuses the configuration.
   */
  listening(listeners: readonly OwnListener[]): void {
    const [before, after] = [this.#listeners, listeners].map((all) => new Set(all.map(formatListener)));
    const others = [
      ...this.#listeners.filter((one) => !after?.has(formatListener(one))),
      ...listeners.filter((one) => !before?.has(formatListener(one))),
    ];
    if (others.length === 0) return;
    this.#listeners = listeners;
    this.#own = [...this.#parts.own, ...listeners];
    this.#placeAgain(({ address }, checkPort) =>
      others.some((one) => hasPort(one, address.port) || (checkPort !== undefined && hasPort(one, checkPort))),
    );
  }

  /** The catalog with addresses instead of names, and without those that may not or cannot be served. */
  served(catalog: Catalog): Catalog {
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
   * Without the instances of these services that their checks would ask where no instance may be. Their former
   * policies are in use, and `served` has seen only the ports that the newest policies check.
   */
  permitted(catalog: Catalog, names: Iterable<ServiceName>): { catalog: Catalog; refused: readonly RenderProblem[] } {
    const refused: RenderProblem[] = [];
    const services = catalog.services.withMutations((all) => {
      for (const name of names) {
        const service = all.get(name);
        const port = checkPortOf(service);
        if (service === undefined || port === undefined || port === this.#checkPorts.get(name)) continue;
        const instances = service.instances.filter(({ id, address: { host } }) => {
          const reason = this.#refuseCheck(name, host, port);
          if (reason !== undefined) refused.push({ service: name, instance: id, reason, lastGoodServes: false });
          return reason === undefined;
        });
        if (instances.size < service.instances.size) all.set(name, { ...service, instances });
      }
    });
    return { catalog: services === catalog.services ? catalog : { ...catalog, services }, refused };
  }

  /** Those that are not served, or at the last address of a name that does not resolve any more. */
  *unserved(): Generator<Unserved> {
    for (const { unserved } of this.#made.values()) yield* unserved.values();
  }

  /** How many these are. */
  get count(): number {
    let count = 0;
    for (const { unserved } of this.#made.values()) count += unserved.size;
    return count;
  }

  /** Why an instance is not served as it is registered. */
  of(service: ServiceName, id: InstanceId): Unserved | undefined {
    return this.#made.get(service)?.unserved.get(id);
  }

  /** Resolves when something is known of every name, or after this time. */
  async resolved(mostMs: number): Promise<void> {
    if (!this.#names.settling) return;
    const timer = setTimeout(() => this.#resolved.resolve(), mostMs);
    await this.#resolved.promise;
    clearTimeout(timer);
    this.#resolved = deferred();
  }

  /** Sets the gauges that are read rather than counted. */
  measure(): void {
    for (const [state, count] of Object.entries(this.#names.counts)) this.#parts.metrics?.names.set({ state }, count);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#machineTimer);
    this.#log.close();
    this.#resolved.resolve();
  }

  /** What was made of the service before, with what differs since: with thousands of names, all of it would take long. */
  #serviceOf(service: Service, entries: ReadonlyMap<InstanceId, Entry>): Service {
    const { name } = service;
    const known = this.#made.get(name);
    const differing = this.#differing.get(name);
    if (known?.of === service && differing === undefined) return known.located;
    this.#differing.delete(name);
    const made =
      (known && this.#makeOf(service, entries, differing ?? [], known)) ??
      this.#makeOf(service, entries, entries.keys());
    if (made === undefined || entries.size === 0) {
      this.#made.delete(name);
      return service;
    }
    this.#made.set(name, made);
    return made.located;
  }

  /** Undefined when there is more that differs from what was made before. */
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
        unserved.set(id, { key: `instances/${service.name}/${id}`, reason, lastGoodServes: !absent.has(id) });
      }
    });
    if (instances.size + absent.size !== service.instances.size) return undefined;
    const located = instances === service.instances ? service : { ...service, instances };
    return { of: service, located, unserved, absent };
  }

  #locate(instance: Instance, entry: Entry): Located {
    if (entry.made?.of === instance) return entry.made.located;
    const resolution = entry.name === undefined ? undefined : this.#names.of(entry.name);
    const located = locate(instance, resolution, (place) => this.#refuse(instance.service, place));
    if (located.kind === 'nowhere' && entry.name === undefined && entry.made === undefined) {
      const fields = { event: 'address-refused', key: `instances/${instance.service}/${instance.id}` };
      this.#log.warn({ ...fields, reason: located.reason }, 'instance not served');
    }
    entry.made = { of: instance, located };
    return located;
  }

  /** Neither the instance nor its check may be where no instance may be. */
  #refuse(service: ServiceName, { host, port }: Pick<Address, 'host' | 'port'>): string | undefined {
    const checkPort = this.#checkPorts.get(service);
    const reason = this.#parts.rules.refused({ host, port }, this.#machine, this.#own);
    return reason ?? (checkPort === undefined ? undefined : this.#refuseCheck(service, host, checkPort));
  }

  #refuseCheck(service: ServiceName, host: string, port: number): string | undefined {
    const reason = this.#parts.rules.refused({ host, port }, this.#machine, this.#own);
    return reason && `the check of ${service} has another port: ${reason}`;
  }

  /** Whether the checks of the service ask elsewhere than before. */
  #takeCheckPort(name: ServiceName, service: Service | undefined): boolean {
    const port = checkPortOf(service);
    if (port === this.#checkPorts.get(name)) return false;
    if (port === undefined) this.#checkPorts.delete(name);
    else this.#checkPorts.set(name, port);
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
    this.#differing.delete(service);
  }

  /** An instance that may have come, gone or changed. */
  differs(service: ServiceName, id: InstanceId): void {
    this.#answered = undefined;
    if (!this.#made.has(service)) return;
    const ids = this.#differing.get(service);
    if (ids === undefined) this.#differing.set(service, new Set([id]));
    else ids.add(id);
  }

  /** Begins the lookups that are due. */
  #look(): void {
    if (this.#closed) return;
    const { now, lookUp } = this.#parts;
    for (const lookup of this.#names.take(now())) {
      void lookUp(lookup.name).then((answer) => this.#took(lookup, answer));
    }
    clearTimeout(this.#timer);
    const ms = this.#names.dueInMs(now());
    // No process lives for it: with nothing else to do there is nothing to serve.
    if (ms !== undefined) this.#timer = setTimeout(() => this.#look(), Math.ceil(ms) + 1).unref();
  }

  #took(lookup: Lookup, given: LookupAnswer): void {
    if (this.#closed) return;
    const { name } = lookup;
    const answer = this.#allowed(name, given);
    this.#parts.metrics?.nameLookups.inc({ result: answer.kind });
    const before = this.#names.of(name);
    if (this.#names.answered(lookup, answer, this.#parts.now())) {
      const users = this.#names.users(name);
      this.#tell(name, before?.address, users);
      this.#touch(users);
    }
    this.#look();
    if (!this.#names.settling) this.#resolved.resolve();
  }

  /** Without the addresses that no instance may have: whoever owns a name decides what it resolves to. */
  #allowed(name: string, answer: LookupAnswer): LookupAnswer {
    if (answer.kind === 'failed') return answer;
    const addresses = answer.addresses.filter((address) => this.#parts.rules.refusedHost(address) === undefined);
    const [first] = answer.addresses;
    if (addresses.length > 0 || first === undefined) return { ...answer, addresses };
    return {
      kind: 'failed',
      reason: `the name ${name} has no address that is allowed: ${this.#parts.rules.refusedHost(first)}`,
    };
  }

  #tell(name: string, before: string | undefined, users: Users): void {
    const { address, trouble } = this.#names.of(name) ?? {};
    const instances = [...users.values()].reduce((sum, ids) => sum + ids.size, 0);
    const [service] = users.keys();
    const about = { name, service, instances, address };
    if (trouble !== undefined) this.#log.warn({ event: 'name-unresolved', ...about, reason: trouble }, trouble);
    else this.#log.info({ event: 'name-resolved', ...about, before }, `${name} is ${address}`);
  }

  #touch(users: Users): void {
    for (const [service, ids] of users) {
      const entries = this.#entries.get(service);
      for (const id of ids) {
        const entry = entries?.get(id);
        if (entry !== undefined) entry.made = undefined;
        this.differs(service, id);
      }
    }
    this.#parts.onChange(users);
  }

  /** What is this machine's own is not what it was. */
  #placeAgain(concerns: (instance: Instance, checkPort: number | undefined) => boolean): void {
    for (const { name, registered } of this.#catalog.services.values()) {
      const ids = new Set<InstanceId>();
      for (const [id, instance] of registered) {
        if (!concerns(instance, this.#checkPorts.get(name))) continue;
        ids.add(id);
        this.place(instance);
      }
      if (ids.size > 0) this.#touch(new Map([[name, ids]]));
    }
  }

  #readInterfaces(): readonly string[] {
    const read = this.#parts.machine ?? interfaceAddresses;
    return [...read()].sort();
  }

  #lookAtMachine(): void {
    const interfaces = this.#readInterfaces();
    if (interfaces.join() === this.#interfaces.join()) return;
    this.#interfaces = interfaces;
    this.#machine = machineList(interfaces);
    this.#placeAgain(() => true);
  }
}

/** Where checks ask, when that is another port than an instance's own. */
function checkPortOf(service: Service | undefined): number | undefined {
  const check = service?.policy.check;
  return check === undefined || check.kind === 'none' ? undefined : check.port;
}

const formatListener = (one: OwnListener): string => `${formatAddress(one)}-${one.lastPort ?? one.port}`;

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address.replace(/%.*/, '')),
  );
}

/** The addresses of names, as a configuration was given them. */
export function addressesGiven({ services }: Catalog, { backends }: Rendered): ReadonlyMap<string, string> {
  const known = new Map<string, string>();
  for (const { name, instances } of services.values()) {
    const servers = backends.get(name)?.servers;
    if (servers === undefined) continue;
    for (const { id, address } of instances.values()) {
      const line = address.family === 'name' ? servers.get(id) : undefined;
      const host = line === undefined ? undefined : parseServerLine(line)?.host;
      const parsed = host === undefined ? undefined : parseHost(host);
      if (parsed?.ok === true && parsed.value.family !== 'name') known.set(address.host, parsed.value.host);
    }
  }
  return known;
}
