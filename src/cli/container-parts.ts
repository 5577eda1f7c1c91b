import { Fleet } from '../fleet/fleet.ts';
import type { Registry } from '../registry/registry.ts';
import { ContainerDrains, type ContainerDrainsParts } from '../rollout/container-drains.ts';
import { ContainerInstances } from '../rollout/container-instances.ts';
import { Drains, type DrainsParts } from '../rollout/drains.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { warn } from './outputs.ts';

/** etcd sends a watch the changes from before it up to 100 ms later. */
const followMs = 1000;

/** What the commands that stop containers work with. It follows the balancers already when it is there. */
export async function openContainerParts(
  registry: Registry,
  { who, why }: Pick<DrainsParts, 'who' | 'why'>,
  settings: Pick<ContainerDrainsParts, 'drainTimeoutMs' | 'lastsMs' | 'force' | 'onProgress'>,
) {
  const fleet = new Fleet(registry);
  const instances = new ContainerInstances(registry);
  const standing = new Drains({ registry, fleet, who, why, wall: Date.now });
  const drains = new ContainerDrains({ instances, fleet, drains: standing, ...settings, onWarning: warn });
  await fleet.following(timeLimit(followMs));
  return {
    instances,
    drains,
    /** How many balancers are alive. */
    balancers: () => fleet.view.balancers.size,
    async close(): Promise<void> {
      const left = standing.standing;
      if (left.length > 0) warn(`still drained, until the drain ends by itself or by \`pointsman undrain\`: ${left.join(', ')}`); // biome-ignore format: one line
      await Promise.all([instances.close(), fleet.close()]);
    },
  };
}
