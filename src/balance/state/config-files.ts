import { readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../fs/exists.ts';
import { replaceFile, type StagedFile, stageFile } from '../../fs/replace-file.ts';
import { parseConfig } from '../../haproxy/config-file.ts';
import { markOf, splitMark, withMark } from '../../haproxy/config-mark.ts';
import { describe, Fault } from '../../model/fault.ts';
import { configWriter } from '../../render/render.ts';
import type { Rendered } from '../../render/rendered.ts';
import { formatRoutes } from '../../render/routes.ts';
import { type BalancePaths, configMode } from './paths.ts';
import { SeenFiles } from './seen-files.ts';

/** The names of policies, as `policyRenderer` makes them. */
const ofPolicy = /^[\w-]{12}$/;

type Texts = { readonly config: string; readonly routes: string };

/** The configuration and the route map on disk. The caller makes sure that only one of the methods runs at a time. */
export class ConfigFiles {
  readonly #paths: BalancePaths;
  readonly #format = configWriter();
  readonly seen = new SeenFiles();
  /** The map of rate limits on disk, as far as this process wrote it. */
  #rates = '';
  /** The texts on disk; empty when there is no file. */
  written: Texts = { config: '', routes: '' };
  /** The files may have other texts, so the next write replaces both. */
  doubted = false;
  /** Whether there is the file that says that HAProxy loads the configuration. */
  reloading = false;
  /** Names the configuration that the worker has to have loaded. Commands at run time do not change it. */
  mark: string | undefined;

  constructor(paths: BalancePaths) {
    this.#paths = paths;
  }

  /** The files of an earlier run, parsed; undefined when they cannot be read. */
  async read(): Promise<Rendered | undefined> {
    const { config: path, routesMap } = this.#paths;
    try {
      const [config, routes] = [await readFile(path, 'utf8'), await readFile(routesMap, 'utf8')];
      this.written = { config, routes };
      this.mark = splitMark(config).mark;
      await this.seen.written([path, routesMap]);
      return parseConfig(config, routes);
    } catch {
      return undefined;
    }
  }

  /** The text of a configuration for HAProxy to load, with a mark of its own. */
  format(rendered: Rendered): string {
    const text = this.#format(rendered);
    return withMark(text, markOf(text));
  }

  /** Writes the state that HAProxy serves, with the mark of the configuration that it loaded. */
  save(served: Rendered): Promise<void> {
    return this.write({ config: withMark(this.#format(served), this.mark), routes: formatRoutes(served.routes) });
  }

  /** Replaces the files whose text is another one. Without a text of the configuration, it deletes that file. */
  async write({ config, routes }: Texts): Promise<void> {
    const { config: path, routesMap } = this.#paths;
    if (config === '') {
      await unlink(path).catch(() => undefined);
      this.written = { ...this.written, config };
      return;
    }
    const { config: lastConfig, routes: lastRoutes } = this.written;
    const configChanges = this.doubted || config !== lastConfig;
    // Another program may restart HAProxy between two renames: a route is on disk only together with the rules of its service.
    const inBoth = configChanges ? sharedLines(lastRoutes, routes) : lastRoutes;
    const writes: (Partial<Texts> & { readonly staged: StagedFile })[] = [];
    try {
      const stage = (file: string, text: string) => stageFile(file, text, {}, configMode);
      if (inBoth !== lastRoutes) writes.push({ routes: inBoth, staged: await stage(routesMap, inBoth) });
      if (configChanges) writes.push({ config, staged: await stage(path, config) });
      if (inBoth !== routes || (this.doubted && inBoth === lastRoutes))
        writes.push({ routes, staged: await stage(routesMap, routes) });
      // The disk has room for all files before the first one is replaced.
      for (const { staged, ...texts } of writes) {
        await staged.commit();
        this.written = { ...this.written, ...texts };
      }
      this.doubted = false;
      await this.seen.written([path, routesMap]);
    } finally {
      await Promise.all(writes.map(({ staged }) => staged.discard()));
    }
  }

  /** Notices when other programs wrote to the files: the next write replaces them. */
  async look(): Promise<void> {
    const { config, routesMap } = this.#paths;
    const written = new Map([
      [config, this.written.config],
      [routesMap, this.written.routes],
    ]);
    if (await this.seen.look(written)) this.doubted = true;
  }

  /** Writes the maps again if they were deleted: without them HAProxy does not load a configuration that names them. */
  async restoreMaps(): Promise<void> {
    const { routesMap, ratesMap } = this.#paths;
    await restoreMap(routesMap, this.written.routes);
    await restoreMap(ratesMap, this.#rates);
  }

  /** The map of rate limits on disk; empty if it cannot be read. */
  readRates(): Promise<string> {
    return readFile(this.#paths.ratesMap, 'utf8').catch(() => '');
  }

  /** Replaces the map of rate limits. */
  async writeRates(text: string): Promise<void> {
    this.#rates = text;
    await replaceFile(this.#paths.ratesMap, text, { mode: configMode });
  }

  /** Writes a file that says, also to the next run, that HAProxy may not have loaded the configuration yet. */
  async beginReload(): Promise<void> {
    await touch(this.#reloadingFile);
    this.reloading = true;
  }

  /** HAProxy loaded the configuration, or the former one is on disk again. */
  async endReload(): Promise<void> {
    await unlink(this.#reloadingFile).catch(() => undefined);
    this.reloading = false;
    await removeUnusedSockets(this.#paths.peersFolder, this.written.config);
  }

  /** Whether an earlier run ended after it replaced the configuration and before HAProxy loaded it. */
  wasReloading(): Promise<boolean> {
    return exists(this.#reloadingFile);
  }

  get #reloadingFile(): string {
    return `${this.#paths.config}.reloading`;
  }
}

/** The lines of a map, in the order of `formatRoutes`, that the other map has as well. */
function sharedLines(map: string, other: string): string {
  if (map === other) return map;
  const others = new Set(other.split('\n'));
  return map
    .split('\n')
    .filter((line) => others.has(line))
    .join('\n');
}

async function restoreMap(path: string, text: string): Promise<void> {
  if (await exists(path)) return;
  if (text === '') await touch(path);
  else await replaceFile(path, text, { mode: configMode });
}

/** Makes an empty file if there is none. Rejects with Fault `storage`. */
async function touch(path: string): Promise<void> {
  try {
    await writeFile(path, '', { flag: 'a', mode: configMode });
  } catch (cause) {
    throw new Fault('storage', `it cannot be written: ${describe(cause)}`, { where: path, cause });
  }
}

/** Removes the sockets of policies that the configuration of HAProxy does not have. */
async function removeUnusedSockets(folder: string, config: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const path = join(folder, name);
    if (ofPolicy.test(name) && !config.includes(`unix@${path} `)) await unlink(path).catch(() => undefined);
  }
}
