import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../../model/fault.ts';

/** A file, or a field of it, that has no effect, and why. */
export type Note = { readonly path: string; readonly reason: string };

export type Found = { readonly files: readonly string[]; readonly notes: readonly Note[] };

/** Every `*toml` in a folder and the folders in it, in the order in which confd finds them. Rejects with Fault `settings`. */
export async function findResources(folder: string): Promise<Found> {
  const { files, notes } = await within(folder);
  const known = new Map<string, string>();
  const own: string[] = [];
  const twice: Note[] = [];
  for (const path of files) {
    const real = await realpath(path).catch(() => path);
    const other = known.get(real);
    // A folder that Kubernetes mounts has each file twice: in a hidden folder, and as a link to it.
    if (other === undefined) own.push(path);
    else if (!path.includes('/..')) twice.push({ path, reason: `it is ${other} again` });
    known.set(real, path);
  }
  return { files: own, notes: [...notes, ...twice.filter(({ reason }) => !reason.includes('/..'))] };
}

async function within(folder: string): Promise<{ readonly files: string[]; readonly notes: Note[] }> {
  const unreadable = (cause: unknown): never => {
    throw new Fault('settings', `it cannot be read: ${describe(cause)}`, { where: folder, cause });
  };
  const files: string[] = [];
  const notes: Note[] = [];
  const names = await readdir(folder).catch(unreadable);
  for (const name of names.sort((a, b) => (a < b ? -1 : 1))) {
    const path = join(folder, name);
    const entry = await lstat(path).catch(() => undefined);
    if (entry?.isDirectory()) {
      const inside = await within(path);
      files.push(...inside.files);
      notes.push(...inside.notes);
      continue;
    }
    const isFolder = entry?.isSymbolicLink() && (await isDirectory(path));
    // Kubernetes' `..data` leads to a folder that is read anyway.
    if (isFolder && name.startsWith('..')) continue;
    if (isFolder)
      notes.push({ path, reason: 'it is a symbolic link to a folder, and confd does not follow it either' });
    else if (!name.endsWith('toml')) notes.push({ path, reason: 'its name does not end in toml' });
    else files.push(path);
  }
  return { files, notes };
}

const isDirectory = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
