import type { ServiceName } from '../model/name.ts';
import type { RolloutHost } from './rollout-host.ts';
import { namesOf, type ServingContainer } from './service-containers.ts';

/** Which containers are served first: the new ones, while the old ones serve; or none of them, while other hosts serve. */
export type RolloutOrder = 'start-first' | 'stop-first';

export type RolloutPlan = {
  readonly service: ServiceName;
  readonly order: RolloutOrder;
  /** There may be no container of the service yet. */
  readonly create: boolean;
};

/** Why a rollout would do harm with the containers that there are. Undefined: it may begin. */
export async function whyRefused(
  { service, order, create }: RolloutPlan,
  host: Pick<RolloutHost, 'services'>,
  before: readonly ServingContainer[],
): Promise<string | undefined> {
  if (before.length === 0 && !create) return unknownService(service, await host.services());
  const stopped = before.filter(({ active }) => !active);
  return order === 'start-first' && stopped.length > 0 ? whyStopped(stopped) : undefined;
}

function unknownService(service: ServiceName, others: readonly string[]): string {
  const there = others.length === 0 ? 'no container has such a label' : `there are: ${[...others].sort().join(', ')}`;
  return `there is no container with the label pointsman.service=${service} (${there}): correct the name, or start the first containers of a service with --create`;
}

/** A command with --no-recreate would start them again, with the old version, instead of new ones. */
function whyStopped(stopped: readonly ServingContainer[]): string {
  const names = namesOf(stopped);
  return `${names.join(', ')} ${names.length === 1 ? 'does' : 'do'} not run, and the command could start the old version again: \`docker start\` or \`docker rm ${names.join(' ')}\`, and run the rollout again`;
}
