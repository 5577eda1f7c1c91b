import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from '../model/fault.ts';

/**
 * Makes the folder at `path`, and those on the way to it that do not exist, with this mode. An existing folder keeps its own. Rejects with
 * the error of the file system. Node's own `recursive` never ends where a folder exists and takes no entries, as /proc does: mkdir says
 * ENOENT there, so Node goes on to make the parent, again and again (libuv's thread cannot be stopped, so SIGTERM does not help).
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await make(path, mode);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await make(path, mode);
  }
}

async function make(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // A read-only file system names that first (EROFS), and some refuse a folder that exists (EACCES, EPERM).
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory() !== true) throw error;
  }
}
