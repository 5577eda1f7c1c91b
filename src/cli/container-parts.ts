import { Fleet } from '../fleet/fleet.ts';
import { Fault } from '../model/fault.ts';
import { formatInstant } from '../model/instant.ts';
import { fleetKeys, type Registry } from '../registry/registry.ts';
import { ContainerDrains, type ContainerDrainsParts } from '../rollout/container-drains.ts';
import { ContainerInstances } from '../rollout/container-instances.ts';
import { Drains, type DrainsParts } from '../rollout/drains.ts';
import { timeLimit } from '../waiting/time-limit.ts';
import { warn } from './outputs.ts';

/** Rejects with the Fault of a registry that does not answer, and says that nothing was done yet. `instead`: without the registry. */
export async function reachRegistry(registry: Registry, instead: string): Promise<void> {
  try {
    await registry.read(fleetKeys.first);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const { code, message, where, hint } = error;
    throw new Fault(code, message, {
      where,
      hint: [...(hint === undefined ? [] : [hint]), instead].join('; '),
      cause: error,
    });
  }
}

function describeStanding(standing: Drains['standing']): string {
  const names = [...standing].map(([name, until]) =>
    until === undefined ? name : `${name} until ${formatInstant(until)}`,
  );
  return `still drained: ${names.join(', ')}; \`pointsman undrain\` ends a drain before that`;
}

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
    /** Why the registry is not followed at the moment. */
    away: () => fleet.view.away,
    async close(): Promise<void> {
      if (standing.standing.size > 0) warn(describeStanding(standing.standing));
      await Promise.all([instances.close(), fleet.close()]);
    },
  };
}
