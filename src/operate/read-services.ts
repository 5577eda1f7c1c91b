import type { Catalog } from '../catalog/catalog.ts';
import { endOverrides, foldEntries } from '../catalog/fold-event.ts';
import { overrideEnd } from '../catalog/overrides.ts';
import { policyKey } from '../model/key.ts';
import type { ServiceName } from '../model/name.ts';
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
