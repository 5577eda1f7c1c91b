import { releaseKey } from '../model/key.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';
import type { Release } from '../registry/releases.ts';

/** The lifetime of the entry. A balancer without a connection for a moment still gets it. */
const standsMs = 60_000;

/** Has balancers let go of what they hold of a service, or of everything. Rejects with a Fault. */
export const writeRelease = (registry: Registry, release: Release, by: string, at: Date): Promise<Revision> =>
  registry.write(releaseKey(release), JSON.stringify({ by, at: at.toISOString() }), { ttlMs: standsMs });
