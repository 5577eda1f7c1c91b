/** The collection always keeps this many unneeded elements: to look for them costs more than a change. */
const least = 50;

/**
 * Bounds a collection that grows with each change: removes the unneeded elements when it has more than twice as many elements as were
 * needed the last time. So a change does not cost a search of the whole collection.
 */
export class Sweep {
  #kept = 0;

  /** Returns the collection, or what `sweep` makes of it when it has grown too much. */
  bounded<T extends { readonly size: number }>(all: T, sweep: (all: T) => T): T {
    if (all.size <= 2 * this.#kept + least) return all;
    const needed = sweep(all);
    this.#kept = needed.size;
    return needed;
  }
}
