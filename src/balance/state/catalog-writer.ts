import type { Catalog } from '../../catalog/catalog.ts';
import { exists } from '../../fs/exists.ts';
import type { Entry } from '../../registry/registry.ts';
import { DelayedWrite, type DiskQueue } from './disk-queue.ts';
import { saveLastKnown } from './last-known.ts';
import { type BalancePaths, makeFolders } from './paths.ts';
import type { Storage } from './storage.ts';

export type CatalogWriterParts = {
  readonly paths: BalancePaths;
  readonly disk: DiskQueue;
  readonly storage: Storage;
  readonly wall: () => Date;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Free values that are saved with the catalog. */
  readonly values?: (() => readonly Entry[]) | undefined;
  /** The location of the registry, which is saved with the catalog. */
  readonly registry?: string | undefined;
};

// The file is as large as all values together: writing it takes at most a twentieth of the time.
const pace = { least: 1000, times: 20, most: 300_000, retry: 1000 };

/** Writes the last known catalog to disk, which a start without the registry uses. */
export class CatalogWriter {
  readonly #parts: CatalogWriterParts;
  readonly #delayed: DelayedWrite;
  #latest: Catalog | undefined;
  #saved: Catalog | undefined;
  #nextAt = 0;

  constructor(parts: CatalogWriterParts) {
    this.#parts = parts;
    this.#delayed = new DelayedWrite(parts.disk, () => this.#saveLatest());
  }

  saveSoon(catalog: Catalog): void {
    this.#latest = catalog;
    this.#schedule(pace.least);
  }

  cancel(): void {
    this.#delayed.cancel();
  }

  /** Saves the catalog unless it is saved. To be called in a turn of the disk. Rejects with Fault `storage`. */
  async save(catalog: Catalog): Promise<void> {
    if (catalog === this.#saved) return;
    const { paths, wall, now, values, storage, registry } = this.#parts;
    const kept = { catalog, values: values?.() ?? [], registry };
    await makeFolders(paths);
    const began = now();
    try {
      await saveLastKnown(paths.lastKnown, kept, { now: began, wall: wall() });
    } finally {
      this.#nextAt = now() + Math.min((now() - began) * pace.times, pace.most);
    }
    storage.worked('catalog');
    this.#saved = catalog;
  }

  /** Whether the saved file was deleted. The next catalog is saved then, even if it is the same. */
  async wasDeleted(): Promise<boolean> {
    if (this.#saved === undefined || (await exists(this.#parts.paths.lastKnown))) return false;
    this.#saved = undefined;
    return true;
  }

  #schedule(leastMs: number): void {
    this.#delayed.schedule(Math.max(leastMs, this.#nextAt - this.#parts.now()));
  }

  async #saveLatest(): Promise<void> {
    if (this.#latest === undefined) return;
    try {
      await this.save(this.#latest);
    } catch (error) {
      this.#parts.storage.failed('catalog', error);
      this.#schedule(pace.retry);
    }
  }
}
