import { readlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SerialQueue } from '../waiting/serial-queue.ts';
import { watchFolders } from './watch-folders.ts';

export type LinkedWatchOptions = {
  readonly folder: string;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
};

/**
 * Watches a folder as `watchFolders` does, and also the folders that symbolic links in it lead to. Use it for files that another
 * program renews in its own folder, such as certificates.
 */
export class LinkedWatch {
  readonly #options: LinkedWatchOptions;
  #end: () => Promise<void>;
  #linked: readonly string[] = [];
  #endLinked: (() => Promise<void>) | undefined;
  readonly #queue = new SerialQueue();
  #closed = false;

  constructor(options: LinkedWatchOptions) {
    this.#options = options;
    this.#end = watchFolders({ ...options, folders: [options.folder] });
  }

  /** Watches the folders that these files of the folder lead to, and no others. */
  follow(files: readonly string[]): Promise<void> {
    return this.#queue.run(() => this.#follow(files)).catch(this.#options.onError);
  }

  async #follow(files: readonly string[]): Promise<void> {
    const folders = new Set<string>();
    for (const file of files) for (const folder of await linkFolders(file)) folders.add(folder);
    folders.delete(this.#options.folder);
    const linked = [...folders].sort();
    if (this.#closed || linked.join('\n') === this.#linked.join('\n')) return;
    this.#linked = linked;
    await this.#endLinked?.();
    this.#endLinked = linked.length === 0 ? undefined : watchFolders({ ...this.#options, folders: linked });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#end();
    await this.#queue.idle();
    await this.#endLinked?.();
  }
}

const mostLinks = 16;

/**
 * The folders, besides the path's own, in which a change can make the path lead to another file: the folder of each symbolic link's
 * target, and the folder of each link on the way to a target. Empty for a file that is no link.
 */
async function linkFolders(path: string): Promise<readonly string[]> {
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
