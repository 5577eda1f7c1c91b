import type { Catalog } from '../../catalog/catalog.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { splitMark } from '../../haproxy/config-mark.ts';
import type { Templates } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import { formatRoutes } from '../../render/routes.ts';
import { CatalogWriter, type CatalogWriterParts } from './catalog-writer.ts';
import { ConfigFiles } from './config-files.ts';
import { DelayedWrite, DiskQueue } from './disk-queue.ts';
import { KeptFiles } from './kept-files.ts';
import { configMode, makeFolders } from './paths.ts';
import type { Touches } from './seen-files.ts';
import type { Stored } from './storage.ts';
import { type CheckedConfig, Validation, type ValidationParts } from './validation.ts';

export type StateFilesOptions = Omit<CatalogWriterParts, 'disk'> &
  Pick<ValidationParts, 'check'> & { readonly templates: Templates };

// The promise: the file has what HAProxy serves within 100 ms after the last change of a burst.
const saveAfterMs = 40;
const againAfterMs = 1000;

/** The files that are the state: the configuration, the route map and the last known catalog. One writer at a time. */
export class StateFiles {
  readonly #options: StateFilesOptions;
  /** Work that missed its deadline may have changed files that HAProxy does not use: they are written again. */
  readonly disk = new DiskQueue(() => {
    if (this.#latest !== undefined) this.saveSoon(this.#latest.served, this.#latest.catalog);
  });
  readonly config: ConfigFiles;
  readonly #catalog: CatalogWriter;
  readonly validation: Validation;
  readonly #delayed = new DelayedWrite(this.disk, () => this.#saveLatest());
  readonly #kept: KeptFiles;
  /** Also writes deleted files again, before HAProxy loads a configuration that names them. Returns their paths. */
  restoreOthers: (() => Promise<readonly string[]>) | undefined;
  /** Files that another program deleted, since `changedByOthers` was called last. */
  readonly #deleted = new Set<string>();
  #latest: { readonly served: Rendered; readonly catalog: Catalog } | undefined;
  /** HAProxy is to load the files, so they do not change meanwhile: the latest state is written after that. */
  #reloading = false;

  constructor(options: StateFilesOptions) {
    this.#options = options;
    const { paths, check, storage, wall, now, values, registry, templates } = options;
    const { disk } = this;
    const writeCandidate = (config: string) => this.#writeCandidate(config);
    this.config = new ConfigFiles(paths);
    this.#catalog = new CatalogWriter({ paths, disk, storage, wall, now, values, registry });
    this.validation = new Validation({ paths, disk, writeCandidate, check, now }, templates);
    const { holds, quarantine, owner, maintenancePage, pauseScript, matchScript, forwardAuthScript } = paths;
    this.#kept = new KeptFiles([
      ...[holds, quarantine, owner].map((path) => ({ path, mode: 0o600, folderMode: 0o700 })),
      ...[maintenancePage, pauseScript, matchScript, forwardAuthScript].map((path) => ({
        path,
        mode: 0o640,
        folderMode: 0o750,
      })),
    ]);
  }

  /** Has HAProxy validate the configuration. Leaves a refused one on disk for people, unless `keep` is false. */
  check(rendered: Rendered, { keep = true } = {}): Promise<CheckedConfig> {
    return this.validation.check(this.config.format(rendered), keep);
  }

  async #writeCandidate(config: string): Promise<void> {
    const { candidate } = this.#options.paths;
    await this.#inTime('configuration', candidate, async () => {
      await this.#restore();
      await replaceFile(candidate, config, { mode: configMode });
    });
  }

  /** Writes a configuration and its routes for HAProxy to load. Returns a function that puts the former ones back. */
  async replace(rendered: Rendered, config: string): Promise<() => Promise<void>> {
    const { paths } = this.#options;
    this.#reloading = true;
    const { mark } = this.config;
    const before = await this.#inTime('configuration', paths.config, async () => {
      const { written } = this.config;
      await this.config.beginReload();
      await this.#write(() => this.config.write({ config, routes: formatRoutes(rendered.routes) }));
      this.config.mark = splitMark(config).mark;
      return written;
    }).catch((error: unknown) => {
      this.#reloading = false;
      throw error;
    });
    return async () => {
      this.#reloading = false;
      this.config.mark = mark;
      await this.#inTime('configuration', paths.config, () => this.#write(() => this.config.write(before)));
      await this.reloaded();
    };
  }

  /** The changes that other programs made to the files since the last call. */
  changedByOthers(): Promise<Touches> {
    // Between two writes of this process, so that none of them counts as a change by others.
    return this.disk.inTurn(async () => {
      await this.#lookForOthers();
      const deleted = [...this.#deleted];
      this.#deleted.clear();
      const { touched, changed } = this.config.seen.take();
      return { touched, changed: [...new Set([...changed, ...deleted])] };
    });
  }

  async #lookForOthers(): Promise<void> {
    await this.config.look();
    await this.#restore();
  }

  /** Makes deleted folders and files again, but for the configuration, which the next write makes. */
  async #restore(): Promise<void> {
    await makeFolders(this.#options.paths);
    await this.config.restoreMaps();
    for (const path of await this.#kept.restore()) this.#deleted.add(path);
    for (const path of (await this.restoreOthers?.()) ?? []) this.#deleted.add(path);
    if (await this.#catalog.wasDeleted()) this.#deleted.add(this.#options.paths.lastKnown);
  }

  /** HAProxy's worker has loaded the files, or the former files are on disk again. */
  async reloaded(): Promise<void> {
    this.#reloading = false;
    this.config.seen.touched = false;
    this.disk.beQuick();
    await this.disk.soon(this.#options.paths.config, () => this.config.endReload()).catch(() => undefined);
  }

  /** Writes another file of the balancer's state, for its user only. Rejects with Fault `storage` in time. */
  writeInTurn(path: string, text: string, mode = 0o600): Promise<void> {
    return this.disk.soon(path, async () => {
      await makeFolders(this.#options.paths);
      await replaceFile(path, text, { mode });
    });
  }

  /** Writes the map of rate limits, which also the next worker reads. Rejects with Fault `storage` in time. */
  writeRates(text: string): Promise<void> {
    return this.disk.soon(this.#options.paths.ratesMap, async () => {
      await makeFolders(this.#options.paths);
      await this.config.writeRates(text);
    });
  }

  /** Writes the served state soon. A burst of calls makes one write. */
  saveSoon(served: Rendered, catalog: Catalog): void {
    this.#latest = { served, catalog };
    this.#delayed.schedule(saveAfterMs);
    this.#catalog.saveSoon(catalog);
  }

  async #saveLatest(): Promise<void> {
    if (this.#latest === undefined) return;
    const { served } = this.#latest;
    if (this.#reloading) {
      this.#delayed.schedule(saveAfterMs);
      return;
    }
    try {
      await this.#write(() => this.config.save(served));
      // A reload whose write missed its deadline has not removed its file.
      if (this.config.reloading) await this.config.endReload();
    } catch (error) {
      this.#options.storage.failed('configuration', error);
      // A full disk may have room later, and HAProxy serves meanwhile.
      this.#delayed.schedule(againAfterMs);
    }
  }

  /** Writes at once. Rejects with Fault `storage`. */
  async save(served: Rendered, catalog: Catalog): Promise<void> {
    const { config, lastKnown } = this.#options.paths;
    this.#delayed.cancel();
    await this.#inTime('configuration', config, () => this.#write(() => this.config.save(served)));
    await this.#inTime('catalog', lastKnown, () => this.#catalog.save(catalog));
  }
  async flush(): Promise<void> {
    this.#catalog.cancel();
    this.disk.bePatient();
    if (this.#latest !== undefined) await this.save(this.#latest.served, this.#latest.catalog).catch(() => undefined);
  }

  /** Does the work in its turn of the disk, within the deadline. Reports a failure to `storage`, and rejects with it. */
  async #inTime<T>(what: Stored, where: string, work: () => Promise<T>): Promise<T> {
    try {
      return await this.disk.soon(where, work);
    } catch (error) {
      this.#options.storage.failed(what, error);
      throw error;
    }
  }

  /** Writes the configuration after it has looked for changes of other programs. To be called in a turn of the disk. */
  async #write(write: () => Promise<void>): Promise<void> {
    await this.#lookForOthers();
    await write();
    this.#options.storage.worked('configuration');
  }
}
