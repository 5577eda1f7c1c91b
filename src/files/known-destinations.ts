import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Destination, type LastLink, openDestination, openFolder, through } from './open-destination.ts';

/**
 * Opens destinations again and again. One that was reached without a link, and whose folder is still the same, is opened without
 * the walk: whatever was done to the names on the way since, they lead to the folder that was allowed.
 */
export class KnownDestinations {
  /** The identity of the folder of each destination. */
  readonly #folders = new Map<string, string>();

  /** As `openDestination`; missing folders are made. */
  async open(dest: string, last: LastLink): Promise<Destination> {
    const again = await this.#again(dest, last);
    if (again !== undefined) return again;
    const at = await openDestination(dest, 'make', last);
    if (at.path === dest) this.#folders.set(dest, identityOf(await stat(at.folder, { bigint: true })));
    return at;
  }

  async #again(dest: string, last: LastLink): Promise<Destination | undefined> {
    const known = this.#folders.get(dest);
    if (known === undefined) return undefined;
    const folder = await openFolder(dirname(dest)).catch(() => undefined);
    if (folder === undefined) return undefined;
    const at = { path: dest, folder: through(folder), name: basename(dest), close: () => folder.close() };
    const [found, link] = await Promise.all([
      folder.stat({ bigint: true }),
      last === 'follow' && lstat(join(at.folder, at.name)).then((entry) => entry.isSymbolicLink(), isNoLink),
    ]);
    if (identityOf(found) === known && !link) return at;
    await folder.close();
    return undefined;
  }
}

const isNoLink = (): boolean => false;

/** Differs for any two folders, also for one that took the number of another that was removed. */
const identityOf = ({ dev, ino, birthtimeNs }: BigIntStats): string => [dev, ino, birthtimeNs].join(':');
