import { isOfContainer } from '../engine/container-mark.ts';
import { foldRegistrations, instanceOf, nothingRead, type Registrations, rangeOf } from '../fleet/registrations.ts';
import type { Instance } from '../model/instance.ts';
import type { ServiceName } from '../model/name.ts';
import type { Revision } from '../model/revision.ts';
import type { Entry, Follower, Registry } from '../registry/registry.ts';

/** A registered instance, and the revision of its registration. */
export type Registered = { readonly instance: Instance; readonly revision: Revision };

/** Follows the instances of services, and knows whose container's each is. */
export class ContainerInstances {
  readonly #registry: Registry;
  readonly #services = new Map<ServiceName, { registrations: Registrations; readonly follower: Follower }>();
  readonly #listeners = new Set<() => void>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Follows these services too. */
  follow(services: Iterable<ServiceName>): void {
    for (const service of services) {
      if (this.#services.has(service)) continue;
      const follower = this.#registry.follow(
        (event) => {
          const known = this.#services.get(service);
          if (known === undefined) return;
          known.registrations = foldRegistrations(known.registrations, event);
          for (const listener of [...this.#listeners]) listener();
        },
        rangeOf({ service, id: undefined }),
      );
      this.#services.set(service, { registrations: nothingRead, follower });
    }
  }

  /** Whether the registry has answered for each service that is followed. */
  get known(): boolean {
    return [...this.#services.values()].every(({ registrations }) => registrations.entries !== undefined);
  }

  /** The registered instances of a service. */
  ofService(service: ServiceName): readonly Registered[] {
    const entries = this.#services.get(service)?.registrations.entries?.values() ?? [];
    return [...entries].flatMap((entry) => readRegistered(service, entry));
  }

  /** The instances that an agent registered for these containers. */
  ofContainers(containers: readonly { readonly id: string }[]): readonly Registered[] {
    return [...this.#services.keys()].flatMap((service) =>
      this.ofService(service).filter(({ instance }) => containers.some(({ id }) => isOfContainer(instance, id))),
    );
  }

  /** Resolves with what `look` gives once that is not undefined, or with undefined when `signal` aborts. */
  until<T>(look: (instances: this) => T | undefined, signal: AbortSignal): Promise<T | undefined> {
    return new Promise((resolve) => {
      const finish = (value: T | undefined) => {
        this.#listeners.delete(listener);
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      };
      const listener = () => {
        const value = this.known ? look(this) : undefined;
        if (value !== undefined) finish(value);
      };
      const onAbort = () => finish(undefined);
      this.#listeners.add(listener);
      signal.addEventListener('abort', onAbort, { once: true });
      listener();
      if (signal.aborted) onAbort();
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#services.values()].map(({ follower }) => follower.close()));
  }
}

function readRegistered(service: ServiceName, entry: Entry): readonly Registered[] {
  const instance = instanceOf(entry, service);
  return instance.ok ? [{ instance: instance.value, revision: entry.revision }] : [];
}
