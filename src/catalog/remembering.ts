import { serviceOf } from '../registry/holding/areas.ts';
import type { Catalog, Rejection } from './catalog.ts';

/** So many rejections are remembered one by one. */
export const mostRejected = 10_000;

/** What stands for the service of a key that has none. No service has this name. */
const noService = '';

/** The remembered keys of a service, and those of them that were deleted since. */
type Group = { readonly keys: string[]; deleted: number };

/**
 * The rejections of a fold while it is made. When there are too many, the service with the most of them loses one, so that no
 * service has the rejections of another forgotten.
 */
export class Remembering {
  readonly #rejected: Catalog['rejected'];
  #forgotten: Catalog['forgotten'];
  /** Made only when there are too many. */
  #groups: Map<string, Group> | undefined;

  constructor({ rejected, forgotten }: Pick<Catalog, 'rejected' | 'forgotten'>) {
    this.#rejected = rejected.asMutable();
    this.#forgotten = forgotten;
  }

  get(key: string): Rejection | undefined {
    return this.#rejected.get(key);
  }

  set(rejection: Rejection): void {
    const { key } = rejection;
    if (!this.#rejected.has(key)) {
      const service = serviceOf(key) ?? noService;
      if (this.#rejected.size >= mostRejected && !this.#makeRoom(service)) return;
      if (this.#groups !== undefined) addTo(this.#groups, service, key);
    }
    this.#rejected.set(key, rejection);
  }

  delete(key: string): void {
    const group = this.#rejected.has(key) ? this.#groups?.get(serviceOf(key) ?? noService) : undefined;
    if (group !== undefined) group.deleted += 1;
    this.#rejected.delete(key);
  }

  result(): Pick<Catalog, 'rejected' | 'forgotten'> {
    return { rejected: this.#rejected.asImmutable(), forgotten: this.#forgotten };
  }

  /** Forgets a rejection of the service that has the most; false if that is the one that comes. */
  #makeRoom(service: string): boolean {
    this.#groups ??= groupsOf(this.#rejected.keys());
    const size = (name: string) => sizeOf(this.#groups?.get(name));
    let largest = service;
    for (const name of this.#groups.keys()) if (size(name) > size(largest)) largest = name;
    const forgets = size(largest) > size(service) + 1 ? largest : service;
    this.#forgotten = this.#forgotten.add(forgets);
    if (forgets === service) return false;
    const group = this.#groups.get(largest);
    for (let key = group?.keys.pop(); key !== undefined; key = group?.keys.pop()) {
      if (this.#rejected.has(key)) {
        this.#rejected.delete(key);
        return true;
      }
      if (group !== undefined) group.deleted -= 1;
    }
    return false;
  }
}

const sizeOf = (group: Group | undefined): number => (group === undefined ? 0 : group.keys.length - group.deleted);

function groupsOf(keys: Iterable<string>): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const key of keys) addTo(groups, serviceOf(key) ?? noService, key);
  return groups;
}

function addTo(groups: Map<string, Group>, service: string, key: string): void {
  const group = groups.get(service);
  if (group === undefined) groups.set(service, { keys: [key], deleted: 0 });
  else group.keys.push(key);
}

/** Whether rejections of the service of this key are forgotten, and this one may be among them. */
export const mayBeForgotten = ({ forgotten }: Pick<Catalog, 'forgotten'>, key: string): boolean =>
  forgotten.has(serviceOf(key) ?? noService);

/** The services of which rejections are forgotten. */
export const forgottenServices = ({ forgotten }: Pick<Catalog, 'forgotten'>): readonly string[] =>
  [...forgotten].filter((service) => service !== noService);
