import type { Catalog } from '../catalog/catalog.ts';
import { endOverrides, foldEntries } from '../catalog/fold-event.ts';
import { overrideEnd } from '../catalog/overrides.ts';
import { Fault } from '../model/fault.ts';
import { policyKey, serviceOfKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
import { didYouMean } from '../model/nearest.ts';
import type { Revision } from '../model/revision.ts';
import type { Entry, Registry } from '../registry/registry.ts';

/** The entries of these services in the registry, read as a balancer reads them. Rejects with a Fault. */
export async function readServices(
  registry: Registry,
  services: Iterable<ServiceName>,
  wall: number,
): Promise<Catalog> {
  const prefixes = [...services].flatMap((name) => [`instances/${name}/`, policyKey(name), `overrides/${name}/`]);
  const listings = await Promise.all(prefixes.map((prefix) => registry.read(prefix)));
  return catalogOf(
    listings.flatMap(({ entries }) => entries),
    wall,
  );
}

/** A catalog of these entries, without the overrides that are over. */
export function catalogOf(list: readonly Entry[], wall: number): Catalog {
  const { catalog, overrides } = foldEntries(new Map(list.map((entry) => [entry.key, entry])));
  const over = overrides.filter(({ override }) => (overrideEnd(override, false, { now: 0, wall }) ?? 1) <= 0);
  return endOverrides(catalog, over).catalog;
}

type Read = {
  readonly revision: Revision | undefined;
  /** Tells this registry from another; undefined while it cannot be read. */
  readonly cluster: string | undefined;
  readonly entries: readonly Entry[];
  /** Why the registry could not be read; there are no entries then. */
  readonly fault: Fault | undefined;
};

// Much less than other waits for the registry: while it is unavailable an operator looks here first, and a balancer knows the rest.
const readMs = 3000;

/** The entries under the prefix, for commands that can go on without them. Rejects with a Fault when the registry answers and refuses. */
export async function readIfThere(registry: Registry, prefix: string): Promise<Read> {
  try {
    return { ...(await registry.read(prefix, AbortSignal.timeout(readMs))), fault: undefined };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'registry-unreachable') throw error;
    return { revision: undefined, cluster: undefined, entries: [], fault: error };
  }
}

/** Fault `not-found` for a service without a policy and instances, with the name that was probably meant. */
export async function unknownService(registry: Registry, service: ServiceName, hint?: string): Promise<Fault> {
  const listings = await Promise.all(['instances/', 'services/'].map((prefix) => readIfThere(registry, prefix)));
  const names = new Set(listings.flatMap(({ entries }) => entries.map(({ key }) => serviceOfKey(key) ?? '')));
  const hints = [didYouMean(service, names), hint].filter((one) => one !== undefined);
  return new Fault('not-found', `no service ${service} is known`, {
    hint: hints.length === 0 ? 'pointsman status shows those that are' : hints.join(' '),
  });
}
