import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Catalog } from '../../catalog/catalog.ts';
import { exists } from '../../fs/exists.ts';
import { replaceFile, type StagedFile, stageFile } from '../../fs/replace-file.ts';
import type { Validated } from '../../haproxy/check.ts';
import { parseConfig } from '../../haproxy/config-file.ts';
import { markOf, splitMark, withMark } from '../../haproxy/config-mark.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { Entry } from '../../registry/registry.ts';
import { configWriter, type Templates } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import { formatRoutes } from '../../render/routes.ts';
import { DiskQueue } from './disk-queue.ts';
import { KeptFiles } from './kept-files.ts';
import { saveLastKnown } from './last-known.ts';
import { type BalancePaths, configMode } from './paths.ts';
import { removeUnusedSockets } from './peer-sockets.ts';
import { SeenFiles, type Touches } from './seen-files.ts';
import type { Storage, Stored } from './storage.ts';
import { type CheckedConfig, Validation } from './validation.ts';

export type StateFilesOptions = {
  readonly paths: BalancePaths;
  /** Asks HAProxy whether it would load this file. */
  readonly check: (file: string, deadlineMs: number) => Promise<Validated>;
  readonly templates: Templates;
  readonly storage: Storage;
  readonly wall: () => Date;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Free values that are kept with the catalog. */
  readonly values?: (() => readonly Entry[]) | undefined;
  /** The location of the registry, which the catalog is saved with. */
  readonly registry?: string | undefined;
};

// The promise is that the file says what runs within 100 ms after the last change of a burst.
const saveAfterMs = 40;
// The catalog on disk is as large as all values together: to write it takes at most a twentieth of the time.
const lastKnownPace = { least: 1000, times: 20, most: 300_000 };
const againAfterMs = 1000;
/** The files that are the state: the configuration, the route map and the last known catalog. One writer at a time. */
export class StateFiles {
  readonly #options: StateFilesOptions;
  readonly #format = configWriter();
  readonly #validation: Validation;
  #timer: NodeJS.Timeout | undefined;
  #wanted: { served: Rendered; catalog: Catalog } | undefined;
  #latest: { served: Rendered; catalog: Catalog } | undefined;
  /** What was given up because the disk hung may have been done since, and is not what runs: that is written again. */
  readonly #disk = new DiskQueue(() => {
    if (this.#latest === undefined) return;
    this.#late = true;
    this.saveSoon(this.#latest.served, this.#latest.catalog);
  });
  #late = false;
  /** HAProxy is to load what is on disk: nothing else is put there meanwhile. A write of what is newest waits for its turn. */
  #reloading = false;
  #writtenConfig = '';
  #writtenRoutes = '';
  /** Somebody else may have written to them since. */
  #doubted = false;
  /** Tells what the worker was to load last: the same from one reload to the next, whatever changed at run time since. */
  #mark: string | undefined;
  readonly #seen = new SeenFiles();
  readonly #kept: KeptFiles;
  #restoreOthers: (() => Promise<readonly string[]>) | undefined;
  /** Files that somebody deleted and that were not told yet. */
  readonly #deleted = new Set<string>();
  #flushing = false;
  #flushingCatalog = false;
  #catalogTimer: NodeJS.Timeout | undefined;
  /** When it is written again at the soonest. */
  #catalogAt = 0;
  #savedCatalog: Catalog | undefined;

  constructor(options: StateFilesOptions) {
    this.#options = options;
    const { paths, check, now } = options;
    const writeCandidate = (config: string) => this.#writeCandidate(config);
    this.#validation = new Validation({ paths, disk: this.#disk, writeCandidate, check, now }, options.templates);
    const { holds, quarantine, owner, maintenancePage, pauseScript } = paths;
    this.#kept = new KeptFiles([
      ...[holds, quarantine, owner].map((path) => ({ path, mode: 0o600, folderMode: 0o700 })),
      ...[maintenancePage, pauseScript].map((path) => ({ path, mode: 0o640, folderMode: 0o750 })),
    ]);
  }

  /** Has files of somebody else written again as well, before HAProxy loads a configuration that names them. */
  restoreWith(restore: () => Promise<readonly string[]>): void {
    this.#restoreOthers = restore;
  }

  /** Traces refused lines back to these templates from now on. */
  useTemplates(templates: Templates): void {
    this.#validation.templates = templates;
  }

  /** Makes the folders that do not exist. Rejects with Fault `storage`. */
  async makeFolders(): Promise<void> {
    const { config, routesMap, runtimeSocket, lastKnown } = this.#options.paths;
    // Who may use the sockets may do everything with HAProxy; what is known of a whole fleet is nobody else's business.
    const own = [runtimeSocket, lastKnown];
    for (const path of [config, routesMap, ...own]) {
      try {
        await mkdir(dirname(path), { recursive: true, mode: own.includes(path) ? 0o700 : 0o755 });
      } catch (cause) {
        throw new Fault('storage', `the folder cannot be made: ${describe(cause)}`, {
          where: dirname(path),
          hint: 'choose a folder that can be written with --dir',
          cause,
        });
      }
    }
  }

  /** What the files of an earlier run say, if they are there. */
  async readServed(): Promise<Rendered | undefined> {
    const { paths } = this.#options;
    try {
      const [config, routes] = [await readFile(paths.config, 'utf8'), await readFile(paths.routesMap, 'utf8')];
      this.#writtenConfig = config;
      this.#writtenRoutes = routes;
      this.#mark = splitMark(config).mark;
      await this.#seen.written([paths.config, paths.routesMap]);
      return parseConfig(config, routes);
    } catch {
      return undefined;
    }
  }

  /** Has HAProxy validate the configuration. Leaves a refused one on disk for people, unless `keep` is false. */
  check(rendered: Rendered, { keep = true } = {}): Promise<CheckedConfig> {
    return this.#validation.check(this.format(rendered), keep);
  }

  async #writeCandidate(config: string): Promise<void> {
    const { candidate } = this.#options.paths;
    await this.#storing('configuration', () =>
      this.#disk.soon(candidate, async () => {
        await this.#restore();
        await replaceFile(candidate, config, { mode: configMode });
      }),
    );
  }

  /** The configuration as text that is to be loaded, with its mark. */
  format(rendered: Rendered): string {
    const text = this.#format(rendered);
    return withMark(text, markOf(text));
  }

  /** Puts the configuration and the map in place; the answer puts the former ones back, or none where none were. */
  async replace(rendered: Rendered, config: string): Promise<() => Promise<void>> {
    const { paths } = this.#options;
    this.#reloading = true;
    const mark = this.#mark;
    const before = await this.#writeSoon(async () => {
      const written = { config: this.#writtenConfig, routes: this.#writtenRoutes };
      await touch(reloadingMark(paths));
      await this.#write(config, formatRoutes(rendered.routes));
      this.#mark = splitMark(config).mark;
      return written;
    }).catch((error: unknown) => {
      this.#reloading = false;
      throw error;
    });
    return async () => {
      this.#reloading = false;
      this.#mark = mark;
      await this.#writeSoon(async () => {
        if (before.config !== '') await this.#write(before.config, before.routes);
        else {
          await unlink(paths.config).catch(() => undefined);
          this.#writtenConfig = '';
        }
      });
      await this.reloaded();
    };
  }

  /** The mark of the configuration that the worker is to have loaded; undefined when there is none yet. */
  get mark(): string | undefined {
    return this.#mark;
  }

  /** Whether somebody else wrote to the configuration or the map since HAProxy loaded them for us. */
  get touchedByOthers(): boolean {
    return this.#seen.touched;
  }

  /** What somebody else did to the files, each told once. */
  changedByOthers(): Promise<Touches> {
    // Between two writes of ours, so that none of them is taken for somebody else's.
    return this.#disk.inTurn(async () => {
      await this.#lookForOthers();
      const deleted = [...this.#deleted];
      this.#deleted.clear();
      const { touched, changed } = this.#seen.take();
      return { touched, changed: [...new Set([...changed, ...deleted])] };
    });
  }

  async #lookForOthers(): Promise<void> {
    const { config, routesMap } = this.#options.paths;
    const written = new Map([
      [config, this.#writtenConfig],
      [routesMap, this.#writtenRoutes],
    ]);
    if (await this.#seen.look(written)) this.#doubted = true;
    await this.#restore();
  }

  /** Makes the folders and files again that somebody deleted, but for the configuration, which the next write makes. */
  async #restore(): Promise<void> {
    const { routesMap, lastKnown } = this.#options.paths;
    await this.makeFolders();
    // HAProxy does not load a configuration without the map that it names.
    if (!(await exists(routesMap))) {
      if (this.#writtenRoutes === '') await touch(routesMap);
      else await replaceFile(routesMap, this.#writtenRoutes, { mode: configMode });
    }
    for (const path of await this.#kept.restore()) this.#deleted.add(path);
    for (const path of (await this.#restoreOthers?.()) ?? []) this.#deleted.add(path);
    if (this.#savedCatalog !== undefined && !(await exists(lastKnown))) {
      this.#savedCatalog = undefined;
      this.#deleted.add(lastKnown);
    }
  }

  /** The running worker has loaded what is on disk. */
  async reloaded(): Promise<void> {
    this.#reloading = false;
    this.#seen.touched = false;
    this.beQuick();
    await this.#disk.soon(this.#options.paths.config, () => this.#unmark()).catch(() => undefined);
  }

  /** Somebody is served, and waits for what is written from now on. */
  beQuick(): void {
    this.#disk.beQuick();
  }

  async #unmark(): Promise<void> {
    await unlink(reloadingMark(this.#options.paths)).catch(() => undefined);
    await removeUnusedSockets(this.#options.paths.peersFolder, this.#writtenConfig);
  }

  /** Whether an earlier run ended between replacing the file and HAProxy's loading of it. */
  async wasReloading(): Promise<boolean> {
    return readFile(reloadingMark(this.#options.paths)).then(
      () => true,
      () => false,
    );
  }

  /** HAProxy runs something else than it was given, so perhaps it was given another file: they are written anew next time. */
  doubt(): void {
    this.#doubted = true;
  }

  /** Writes another file of a balancer's state, which nobody else may read. Rejects with Fault `storage`, also in time. */
  writeInTurn(path: string, text: string, mode = 0o600): Promise<void> {
    return this.#disk.soon(path, async () => {
      await this.makeFolders();
      await replaceFile(path, text, { mode });
    });
  }

  /** Writes another file that HAProxy reads. Rejects with Fault `storage`, also in time. */
  writeForHaproxy(path: string, text: string): Promise<void> {
    return this.writeInTurn(path, text, configMode);
  }

  /** Has what is served written soon: a burst is written once. */
  saveSoon(served: Rendered, catalog: Catalog): void {
    this.#latest = { served, catalog };
    this.#wanted = this.#latest;
    this.#timer ??= setTimeout(() => this.#flush(), saveAfterMs);
    this.#flushCatalogSoon(lastKnownPace.least);
  }

  /** Writes at once. Rejects with Fault `storage`. */
  async save(served: Rendered, catalog: Catalog): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writeSoon(() => this.#write(withMark(this.#format(served), this.#mark), formatRoutes(served.routes)));
    await this.#storing('catalog', () =>
      this.#disk.soon(this.#options.paths.lastKnown, () => this.#saveCatalog(catalog)),
    );
  }

  /** Writes what still waits; for the end. */
  async flush(): Promise<void> {
    clearTimeout(this.#catalogTimer);
    this.#disk.bePatient();
    const wanted = this.#wanted ?? this.#latest;
    if (wanted !== undefined) await this.save(wanted.served, wanted.catalog).catch(() => undefined);
  }

  #flush(): void {
    this.#timer = undefined;
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    if (this.#reloading) {
      this.#timer = setTimeout(() => this.#flush(), saveAfterMs);
      return;
    }
    // One that waits for its turn takes the newest then: while the disk hangs, they do not pile up.
    if (this.#flushing) return;
    this.#flushing = true;
    const write = async () => {
      this.#flushing = false;
      const { served } = this.#wanted ?? wanted;
      const taken = this.#wanted;
      this.#wanted = undefined;
      try {
        await this.#write(withMark(this.#format(served), this.#mark), formatRoutes(served.routes));
      } catch (error) {
        this.#wanted ??= taken;
        throw error;
      }
      // A reload that was given up left its mark.
      if (this.#late) await this.#unmark();
      this.#late = false;
    };
    this.#storing('configuration', () => this.#disk.inTurn(write)).catch(() => {
      // A full disk may have room again later; serving does not wait for it.
      this.#timer ??= setTimeout(() => this.#flush(), againAfterMs);
    });
  }

  #flushCatalogSoon(leastMs: number): void {
    const waitMs = Math.max(leastMs, this.#catalogAt - this.#options.now());
    this.#catalogTimer ??= setTimeout(() => this.#flushCatalog(), waitMs);
  }

  #flushCatalog(): void {
    this.#catalogTimer = undefined;
    if (this.#flushingCatalog) return;
    this.#flushingCatalog = true;
    const write = async () => {
      this.#flushingCatalog = false;
      if (this.#latest !== undefined) await this.#saveCatalog(this.#latest.catalog);
    };
    this.#storing('catalog', () => this.#disk.inTurn(write)).catch(() => {
      this.#flushCatalogSoon(againAfterMs);
    });
  }

  #writeSoon<T>(write: () => Promise<T>): Promise<T> {
    return this.#storing('configuration', () => this.#disk.soon(this.#options.paths.config, write));
  }

  /** Has it known when something cannot be written. Rejects all the same. */
  async #storing<T>(what: Stored, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      this.#options.storage.failed(what, error);
      throw error;
    }
  }

  async #write(config: string, routes: string): Promise<void> {
    const { paths, storage } = this.#options;
    await this.#lookForOthers();
    const ofConfig = { path: paths.config, text: config, done: () => (this.#writtenConfig = config) };
    const ofMap = (text: string) => ({ path: paths.routesMap, text, done: () => (this.#writtenRoutes = text) });
    const configChanges = this.#doubted || config !== this.#writtenConfig;
    // Somebody else may restart HAProxy between two of the renames: a route is on disk only with its service's rules.
    const inBoth = configChanges ? sharedLines(this.#writtenRoutes, routes) : this.#writtenRoutes;
    const before = inBoth === this.#writtenRoutes ? [] : [ofMap(inBoth)];
    const after = inBoth === routes && !(this.#doubted && before.length === 0) ? [] : [ofMap(routes)];
    const files = [...before, ...(configChanges ? [ofConfig] : []), ...after];
    const staged: { readonly file: StagedFile; readonly done: () => void }[] = [];
    try {
      for (const { path, text, done } of files)
        staged.push({ file: await stageFile(path, text, {}, configMode), done });
      // Only when there is room for all is any of them replaced.
      for (const { file, done } of staged) {
        await file.commit();
        done();
      }
      this.#doubted = false;
      await this.#seen.written([paths.config, paths.routesMap]);
    } finally {
      await Promise.all(staged.map(({ file }) => file.discard()));
    }
    storage.worked('configuration');
  }

  async #saveCatalog(catalog: Catalog): Promise<void> {
    if (catalog === this.#savedCatalog) return;
    const { paths, wall, now, values, storage, registry } = this.#options;
    const kept = { catalog, values: values?.() ?? [], registry };
    await this.makeFolders();
    const began = now();
    try {
      await saveLastKnown(paths.lastKnown, kept, { now: began, wall: wall() });
    } finally {
      this.#catalogAt = now() + Math.min((now() - began) * lastKnownPace.times, lastKnownPace.most);
    }
    storage.worked('catalog');
    this.#savedCatalog = catalog;
  }
}

/** The lines of a map, in the order of `formatRoutes`, that another one has as well. */
function sharedLines(map: string, other: string): string {
  if (map === other) return map;
  const others = new Set(other.split('\n'));
  return map
    .split('\n')
    .filter((line) => others.has(line))
    .join('\n');
}

/** Makes an empty file where there is none. Rejects with Fault `storage`. */
async function touch(path: string): Promise<void> {
  try {
    await writeFile(path, '', { flag: 'a', mode: configMode });
  } catch (cause) {
    throw new Fault('storage', `it cannot be made: ${describe(cause)}`, { where: path, cause });
  }
}

const reloadingMark = (paths: BalancePaths): string => `${paths.config}.reloading`;
