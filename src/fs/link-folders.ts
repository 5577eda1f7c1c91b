import { readlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const mostLinks = 16;

/**
 * The folders, besides the path's own, in which a change can make the path lead to another file: the folder of each symbolic link's
 * target, and the folder of each link on the way to a target. Empty for a file that is no link.
 */
export async function linkFolders(path: string): Promise<readonly string[]> {
  const folders = new Set<string>();
  let at = path;
  for (let i = 0; i < mostLinks; i += 1) {
    const target = await linkTarget(at);
    if (target === undefined) break;
    at = resolve(dirname(at), target);
    folders.add(dirname(at));
    for (let folder = dirname(at); folder !== dirname(folder); folder = dirname(folder)) {
      if ((await linkTarget(folder)) !== undefined) folders.add(dirname(folder));
    }
  }
  return [...folders];
}

/** Undefined when there is no symbolic link at this path. */
const linkTarget = (path: string): Promise<string | undefined> => readlink(path).catch(() => undefined);
