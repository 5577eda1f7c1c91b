import { serviceOf } from '../registry/holding/areas.ts';
import type { Catalog, Rejection } from './catalog.ts';

/** The number of rejections that are remembered one by one. */
export const mostRejected = 10_000;

/** The service of keys that have none. No service has this name. */
const noService = '';

/**
 * The rejections of a fold while it is made. When there are too many, the service with the most of them loses one, so that no
 * service has the rejections of another forgotten.
 */
export class Remembering {
  readonly #rejected: Catalog['rejected'];
  readonly #counts: Catalog['rejections'];
  #forgotten: Catalog['forgotten'];

  constructor({ rejected, rejections, forgotten }: Pick<Catalog, 'rejected' | 'rejections' | 'forgotten'>) {
    this.#rejected = rejected.asMutable();
    this.#counts = rejections.asMutable();
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
      this.#counts.set(service, this.#countOf(service) + 1);
    }
    this.#rejected.set(key, rejection);
  }

  delete(key: string): void {
    if (!this.#rejected.has(key)) return;
    this.#rejected.delete(key);
    const service = serviceOf(key) ?? noService;
    const left = this.#countOf(service) - 1;
    if (left > 0) this.#counts.set(service, left);
    else this.#counts.delete(service);
  }

  result(): Pick<Catalog, 'rejected' | 'rejections' | 'forgotten'> {
    return {
      rejected: this.#rejected.asImmutable(),
      rejections: this.#counts.asImmutable(),
      forgotten: this.#forgotten,
    };
  }

  #countOf(service: string): number {
    return this.#counts.get(service) ?? 0;
  }

  /** Forgets a rejection of the service that has the most; false if that is the one that comes. */
  #makeRoom(service: string): boolean {
    const own = this.#countOf(service);
    let [largest, most] = [service, own];
    for (const [name, count] of this.#counts) if (count > most) [largest, most] = [name, count];
    const forgets = most > own + 1 ? largest : service;
    this.#forgotten = this.#forgotten.add(forgets);
    if (forgets === service) return false;
    // The service that has the most is soon found in any order.
    for (const key of this.#rejected.keys()) {
      if ((serviceOf(key) ?? noService) !== largest) continue;
      this.delete(key);
      return true;
    }
    return false;
  }
}

/** Whether rejections of the service of this key are forgotten, and this one may be among them. */
export const mayBeForgotten = ({ forgotten }: Pick<Catalog, 'forgotten'>, key: string): boolean =>
  forgotten.has(serviceOf(key) ?? noService);

/** The services some of whose rejections are forgotten. */
export const forgottenServices = ({ forgotten }: Pick<Catalog, 'forgotten'>): readonly string[] =>
  [...forgotten].filter((service) => service !== noService);
