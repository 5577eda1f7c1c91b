import { isOfContainer } from '../engine/container-mark.ts';
import type { Instance } from '../model/instance.ts';
import type { ServiceName } from '../model/name.ts';
import type { ServingContainer } from './service-containers.ts';

/** The services that no instance takes requests of any more when these containers are stopped. `instancesOf`: as overrides leave them. */
export function lastInstancesOf(
  containers: readonly Pick<ServingContainer, 'id' | 'services'>[],
  instancesOf: (service: ServiceName) => Iterable<Instance>,
): readonly ServiceName[] {
  const services = new Set(containers.flatMap((one) => one.services));
  return [...services].filter((service) => {
    const taking = [...instancesOf(service)].filter(({ state, weight }) => state === 'ready' && weight > 0);
    return taking.length > 0 && taking.every((one) => containers.some(({ id }) => isOfContainer(one, id)));
  });
}
