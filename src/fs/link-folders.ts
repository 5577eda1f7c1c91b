import { readlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const mostLinks = 16;

/**
 * The folders besides its own in which a change can make this path another file: those of the targets of each symbolic link
 * on the way to it, and those in which a linked folder lies. Empty for a file that is no link.
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

/** Undefined for what is no symbolic link, or not there. */
const linkTarget = (path: string): Promise<string | undefined> => readlink(path).catch(() => undefined);
