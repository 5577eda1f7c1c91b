import { type BigIntStats, closeSync, fstatSync } from 'node:fs';
import { lstat, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  type Destination,
  type LastLink,
  openDestination,
  openFolder,
  openFolderSync,
  through,
} from './open-destination.ts';

type KnownFolder = { readonly identity: string; readonly isLocal: boolean };

/**
 * Opens destinations again and again. One that was reached without a link, and whose folder is still the same, is opened without
 * the walk: whatever was done to the names on the way since, they lead to the folder that was allowed.
 */
export class KnownDestinations {
  readonly #folders = new Map<string, KnownFolder>();

  /** As `openDestination`; missing folders are made. */
  async open(dest: string, last: LastLink): Promise<Destination> {
    const known = this.#folders.get(dest);
    const again =
      known === undefined
        ? undefined
        : known.isLocal && last === 'replace'
          ? againAtOnce(dest, known)
          : await reopened(dest, known, last);
    if (again !== undefined) return again;
    const at = await openDestination(dest, 'make', last);
    if (at.path === dest) {
      const [folder, { type }] = await Promise.all([stat(at.folder, { bigint: true }), statfs(at.folder)]);
      this.#folders.set(dest, { identity: identityOf(folder), isLocal: localTypes.has(type) });
    }
    return at;
  }
}

async function reopened(dest: string, known: KnownFolder, last: LastLink): Promise<Destination | undefined> {
  const folder = await openFolder(dirname(dest)).catch(() => undefined);
  if (folder === undefined) return undefined;
  const at = { path: dest, folder: through(folder), name: basename(dest), close: () => folder.close() };
  const [found, link] = await Promise.all([
    folder.stat({ bigint: true }),
    last === 'follow' && lstat(join(at.folder, at.name)).then((entry) => entry.isSymbolicLink(), isNoLink),
  ]);
  if (identityOf(found) === known.identity && !link) return at;
  await folder.close();
  return undefined;
}

/** The same without a wait, for a disk of this machine. */
function againAtOnce(dest: string, known: KnownFolder): Destination | undefined {
  let fd: number;
  try {
    fd = openFolderSync(dirname(dest));
  } catch {
    return undefined;
  }
  if (identityOf(fstatSync(fd, { bigint: true })) === known.identity) {
    const close = async () => closeSync(fd);
    return { path: dest, folder: through({ fd }), name: basename(dest), isLocal: true, close };
  }
  closeSync(fd);
  return undefined;
}

const isNoLink = (): boolean => false;

/** Differs for any two folders, also for one that took the number of another that was removed. */
const identityOf = ({ dev, ino, birthtimeNs }: BigIntStats): string => [dev, ino, birthtimeNs].join(':');

/** The types of file systems on a disk of this machine (statfs(2)): ext, XFS, Btrfs, F2FS, tmpfs and overlay. */
const localTypes: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x01021994, 0x794c7630]);
