import type { Catalog } from '../catalog/catalog.ts';
import { Fault } from '../model/fault.ts';
import { overrideKey } from '../model/key.ts';
import { didYouMean } from '../model/nearest.ts';
import { formatOverride, type Override, type OverrideTarget } from '../model/override.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import { type Impact, impactOf } from './impact.ts';
import { readServices } from './read-services.ts';

// Balancers count `until - at` from when they see it; the key stays until all of them have.
const leaseSlackMs = 5000;

export type OverridePreview = {
  readonly catalog: Catalog;
  readonly impact: Impact;
  /** Fault `not-found` for a service or an instance that is not known. */
  readonly unknown: Fault | undefined;
};

/** The effects of an override, which is not written yet. Rejects with a Fault. */
export async function previewOverride(
  registry: Registry,
  target: OverrideTarget,
  override: Override,
  wall: number,
): Promise<OverridePreview> {
  const catalog = await readServices(registry, [target.service], wall);
  return { catalog, unknown: unknownTarget(catalog, target), impact: impactOf(catalog, target, override, wall) };
}

/** Writes an override, which ends by itself if it has an end. Rejects with a Fault. */
export function writeOverride(
  registry: Registry,
  target: OverrideTarget,
  override: Override,
  wall: number,
  signal?: AbortSignal,
): Promise<Revision> {
  const lasting = override.until === undefined ? {} : { ttlMs: override.until - wall + leaseSlackMs };
  const options = { ...lasting, ...(signal && { signal }) };
  return registry.write(overrideKey(target.service, target.scope), formatOverride(override), options);
}

const force = '--force writes the override anyway';

function unknownTarget({ services }: Catalog, { service, scope }: OverrideTarget): Fault | undefined {
  const found = services.get(service);
  if (found === undefined) {
    return new Fault('not-found', `no service ${service} is known`, { hint: force });
  }
  if (scope === '*' || found.registered.has(scope)) return undefined;
  const hint = didYouMean(
    `${service}/${scope}`,
    [...found.registered.keys()].map((id) => `${service}/${id}`),
  );
  return new Fault('not-found', `${service} has no instance ${scope}`, {
    hint: hint === undefined ? force : `${hint} ${force}`,
  });
}
