/** So many that nobody needs are always kept: looking for them costs more than a change. */
const least = 50;

/**
 * Says when what nobody needs any more is to be left out of a collection that grows with each change: when it has more than twice as
 * many elements as were needed the last time. So the collection is bounded, and a change costs no search of all of it.
 */
export class Sweep {
  #kept = 0;

  /** The collection, swept when it is due. */
  bounded<T extends { readonly size: number }>(all: T, sweep: (all: T) => T): T {
    if (all.size <= 2 * this.#kept + least) return all;
    const needed = sweep(all);
    this.#kept = needed.size;
    return needed;
  }
}
