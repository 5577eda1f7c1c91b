import { constants, openSync } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, errorCode, Fault } from '../model/fault.ts';

/** Where a file is to be written, found once. Names within `folder` lead there whatever happens to the path meanwhile. */
export type Destination = {
  /** The real path of the file, without symbolic links. The file may not exist. */
  readonly path: string;
  /** The folder of the file, as a path for system calls. */
  readonly folder: string;
  /** The name of the file in `folder`. */
  readonly name: string;
  /** The folder was reached before, and is on a disk of this machine, whose calls may be waited for. */
  readonly isLocal?: boolean;
  readonly close: () => Promise<void>;
};

/** What a symbolic link is that `dest` itself is: another name of the file, or the file that is to be replaced. */
export type LastLink = 'follow' | 'replace';

type OwnerAndMode = { readonly uid: number; readonly mode: number };

/** As many as Linux follows in one path. */
const mostLinks = 40;
/** A descriptor that names a folder and needs no right to list it. Node has no name for this flag of Linux. */
const pathOnly = 0o10000000 | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Whether a symbolic link is followed: only where root or pointsman's own user put it. In a folder
 * with the sticky bit others can make links, but not replace ours.
 */
export function mayFollow(folder: OwnerAndMode, link: OwnerAndMode, self: number): boolean {
  const trusted = ({ uid }: OwnerAndMode) => uid === 0 || uid === self;
  if (!trusted(folder)) return false;
  return (folder.mode & 0o022) === 0 || ((folder.mode & 0o1000) !== 0 && trusted(link));
}

/**
 * Walks to the folder of `dest`, one name at a time, and follows only links that `mayFollow` allows. Missing folders are
 * made, or the answer is undefined, as `missing` says. `last` says whether a link that `dest` itself is is followed, too. Rejects with
 * Fault `storage`.
 */
export async function openDestination(dest: string, missing: 'make', last?: LastLink): Promise<Destination>;
export async function openDestination(
  dest: string,
  missing: 'leave',
  last?: LastLink,
): Promise<Destination | undefined>;
export async function openDestination(
  dest: string,
  missing: 'make' | 'leave',
  last: LastLink = 'follow',
): Promise<Destination | undefined> {
  let folder = await openFolder('/');
  let where = '/';
  let links = 0;
  const enter = async (next: string, path: string) => {
    const entered = await openFolder(next);
    await folder.close();
    folder = entered;
    where = path;
  };
  try {
    let [name, ...rest] = namesOf(dest);
    for (;;) {
      if (name === undefined) throw new Fault('storage', 'it is a folder', { where: dest });
      const entry = join(through(folder), name);
      const found = name === '..' ? undefined : await lstat(entry).catch(undefinedIfMissing);
      if (name === '..') await enter(`${through(folder)}/..`, dirname(where));
      else if (found?.isSymbolicLink() && (rest.length > 0 || last === 'follow')) {
        links += 1;
        if (links > mostLinks) throw new Fault('storage', 'its symbolic links lead in a circle', { where: dest });
        if (!mayFollow(await folder.stat(), found, process.geteuid?.() ?? 0)) {
          throw new Fault('storage', `${join(where, name)} is a symbolic link in a folder that others can write`, {
            where: dest,
            hint: 'pointsman does not follow it: name the file itself, or make the folder writable for its owner only',
          });
        }
        const target = await readlink(entry);
        if (target.startsWith('/')) await enter('/', '/');
        [name, ...rest] = [...namesOf(target), ...rest];
        continue;
      } else if (rest.length === 0) {
        const reached = folder;
        return { path: join(where, name), folder: through(reached), name, close: () => reached.close() };
      } else {
        if (found === undefined) {
          if (missing === 'leave') {
            await folder.close();
            return undefined;
          }
          await mkdir(entry, 0o755).catch(unlessThere);
        }
        await enter(entry, join(where, name));
      }
      [name, ...rest] = rest;
    }
  } catch (cause) {
    await folder.close();
    if (cause instanceof Fault) throw cause;
    throw new Fault('storage', `its folder is not accessible: ${describe(cause)}`, { where: dest, cause });
  }
}

/** Linux finds an open folder by its descriptor, wherever it was moved. */
export const through = (folder: Pick<FileHandle, 'fd'>): string => `/proc/self/fd/${folder.fd}`;

/** Opens a folder as `openFolder` does, and waits for the answer. */
export const openFolderSync = (path: string): number => openSync(path, pathOnly);

/** Opens a folder, and does not follow a link that the path itself is. */
export const openFolder = (path: string): Promise<FileHandle> => open(path, pathOnly);

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.');

const undefinedIfMissing = (cause: unknown): undefined => {
  if (errorCode(cause) !== 'ENOENT') throw cause;
};

const unlessThere = (cause: unknown): void => {
  if (errorCode(cause) !== 'EEXIST') throw cause;
};
