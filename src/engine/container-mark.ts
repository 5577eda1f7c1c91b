import type { Instance } from '../model/instance.ts';

/**
 * The name in an instance's meta by which the agent says whose instance it is: the first 12 digits of the container's id, as `docker ps`
 * shows them. The id of an instance may stay the same while its container is replaced; this value does not.
 */
export const containerMeta = 'container';

/** The value of `containerMeta` for a container. */
export const markOf = (containerId: string): string => containerId.slice(0, 12);

/** Whether an agent registered the instance for this container. */
export const isOfContainer = ({ meta }: Pick<Instance, 'meta'>, containerId: string): boolean =>
  meta[containerMeta] === markOf(containerId);
