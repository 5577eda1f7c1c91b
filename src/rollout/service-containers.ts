import type { ListedContainer } from '../engine/container.ts';
import { labelGroups } from '../engine/label-groups.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';

/** A container whose labels say that it serves. */
export type ServingContainer = {
  readonly id: string;
  readonly name: string;
  /** Its process runs, or the engine starts it again and again. A paused container is active as well. */
  readonly active: boolean;
  /** All services of its labels. */
  readonly services: readonly ServiceName[];
};

export const namesOf = (containers: readonly ServingContainer[]): readonly string[] =>
  containers.map(({ name }) => name);

/** What a command did with the containers of a service. */
export type ContainerChanges = {
  /** The containers that the command created. */
  readonly fresh: readonly ServingContainer[];
  /** Those from before that are active, also those that the command started again: they have the old version. */
  readonly left: readonly ServingContainer[];
  /** Those from before that are not active any more: the command, and not pointsman, stopped them. */
  readonly lost: readonly ServingContainer[];
};

const activeStates: readonly string[] = ['running', 'restarting', 'paused'];

/** The services of a container, by its labels. */
export const servicesOf = (labels: ListedContainer['labels']): readonly ServiceName[] => [
  ...new Set(
    labelGroups(labels).flatMap(({ service }) => {
      const name = parseServiceName(service);
      return name.ok ? [name.value] : [];
    }),
  ),
];

/** The containers of a service. One that `docker compose run` started for a task is none: it has the labels of the service. */
export function containersOf(service: ServiceName, listed: readonly ListedContainer[]): readonly ServingContainer[] {
  return listed
    .filter(({ labels }) => labels['com.docker.compose.oneoff']?.toLowerCase() !== 'true')
    .map(({ id, name, labels, state }) => ({
      id,
      name,
      active: activeStates.includes(state),
      services: servicesOf(labels),
    }))
    .filter(({ services }) => services.includes(service))
    .sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
}

/** Compares the containers before and after the command. */
export function changesBetween(
  before: readonly ServingContainer[],
  after: readonly ServingContainer[],
): ContainerChanges {
  const known = new Set(before.map(({ id }) => id));
  const old = before.filter(({ active }) => active);
  const isActive = new Set(after.filter(({ active }) => active).map(({ id }) => id));
  return {
    fresh: after.filter(({ id }) => !known.has(id)),
    left: before.filter(({ id }) => isActive.has(id)),
    lost: old.filter(({ id }) => !isActive.has(id)),
  };
}
