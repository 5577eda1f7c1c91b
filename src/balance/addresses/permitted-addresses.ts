import { networkInterfaces } from 'node:os';
import { type AddressRules, machineList, type OwnListener } from '../../addresses/address-rules.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Service } from '../../catalog/service.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import type { ServiceName } from '../../model/name.ts';
import type { RenderProblem } from '../../render/render.ts';

export type PermittedAddressesParts = {
  readonly rules: AddressRules;
  /** Where the settings have pointsman and HAProxy listen. */
  readonly own: readonly OwnListener[];
  /** The addresses of this machine's interfaces. */
  readonly machine?: () => readonly string[];
};

// In ms. An interface seldom gets another address.
const machineEveryMs = 30_000;

/** Where instances and their health checks may be: not where the rules forbid it, and not where pointsman or HAProxy listens. */
export class PermittedAddresses {
  readonly #parts: PermittedAddressesParts;
  #interfaces: readonly string[];
  #machine: ReturnType<typeof machineList>;
  #listeners: readonly OwnListener[] = [];
  #own: readonly OwnListener[];
  /** By service, the port that its health check asks, if it is not the instance's own. */
  readonly #checkPorts = new Map<ServiceName, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(parts: PermittedAddressesParts, onMachineChange: () => void) {
    this.#parts = parts;
    this.#own = parts.own;
    this.#interfaces = this.#readInterfaces();
    this.#machine = machineList(this.#interfaces);
    this.#timer = setInterval(() => {
      if (this.#machineChanged()) onMachineChange();
    }, machineEveryMs);
    this.#timer.unref();
  }

  /** Why neither an instance of the service nor its health check may be at this address; undefined: both may. */
  refused(service: ServiceName, { host, port }: Pick<Address, 'host' | 'port'>): string | undefined {
    return this.refusedWith(service, { host, port }, this.#checkPorts.get(service));
  }

  /** The same for a policy whose health check asks `checkPort`; undefined: the instance's own port. */
  refusedWith(
    service: ServiceName,
    { host, port }: Pick<Address, 'host' | 'port'>,
    checkPort: number | undefined,
  ): string | undefined {
    const reason = this.#refused(host, port);
    return reason ?? (checkPort === undefined ? undefined : this.#refuseCheck(service, host, checkPort));
  }

  checkPort(service: ServiceName): number | undefined {
    return this.#checkPorts.get(service);
  }

  /** Takes the newest policy of a service. Returns whether its health check asks another port than before. */
  takeCheckPort(name: ServiceName, service: Service | undefined): boolean {
    const port = checkPortOf(service);
    if (port === this.#checkPorts.get(name)) return false;
    if (port === undefined) this.#checkPorts.delete(name);
    else this.#checkPorts.set(name, port);
    return true;
  }

  /**
   * Leaves out instances whose health check would ask an address where no instance may be. `names` are the services in their last
   * good form: `takeCheckPort` got only the newest policies.
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

  /** Replaces the addresses on which HAProxy listens. Returns the addresses that were added or removed. */
  listening(listeners: readonly OwnListener[]): readonly OwnListener[] {
    const differing = [...without(this.#listeners, listeners), ...without(listeners, this.#listeners)];
    if (differing.length > 0) {
      this.#listeners = listeners;
      this.#own = [...this.#parts.own, ...listeners];
    }
    return differing;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #refused(host: string, port: number): string | undefined {
    return this.#parts.rules.refused({ host, port }, this.#machine, this.#own);
  }

  #refuseCheck(service: ServiceName, host: string, port: number): string | undefined {
    const reason = this.#refused(host, port);
    return reason && `the check of ${service} has another port: ${reason}`;
  }

  #machineChanged(): boolean {
    const interfaces = this.#readInterfaces();
    if (interfaces.join() === this.#interfaces.join()) return false;
    this.#interfaces = interfaces;
    this.#machine = machineList(interfaces);
    return true;
  }

  #readInterfaces(): readonly string[] {
    const read = this.#parts.machine ?? interfaceAddresses;
    return [...read()].sort();
  }
}

/** The port that the health checks of a service ask; undefined: the port of each instance, or none. */
export function checkPortOf(service: Service | undefined): number | undefined {
  const check = service?.policy.check;
  return check === undefined || check.kind === 'none' ? undefined : check.port;
}

function without(some: readonly OwnListener[], others: readonly OwnListener[]): readonly OwnListener[] {
  const known = new Set(others.map(formatListener));
  return some.filter((one) => !known.has(formatListener(one)));
}

const formatListener = (one: OwnListener): string => `${formatAddress(one)}-${one.lastPort ?? one.port}`;

function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address.replace(/%.*/, '')),
  );
}
