import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';

export type TreeWatchParts = {
  readonly root: string;
  /** Something happened to this path, relative to the root with "/"; or anywhere in a folder whose name it is. */
  readonly onTouched: (path: string) => void;
  readonly onError: (folder: string, error: unknown) => void;
};

/**
 * One kernel watch a folder, which names what happened to the files in it.
 *
 * Not chokidar (5.0.0): its throttles (5 ms a file, 1 s a folder listing) drop events instead of delaying them, which
 * here lost the second of two edits in 2 of 6 runs; and it takes a kernel watch a file, 10,000 for 10,000 instances where
 * many systems allow 8192 a user.
 */
export class TreeWatch {
  readonly #parts: TreeWatchParts;
  readonly #watchers = new Map<string, FSWatcher>();
  #closed = false;

  constructor(parts: TreeWatchParts) {
    this.#parts = parts;
  }

  /** To be called before the folder is listed, so that nothing falls between. */
  add(folder: string): void {
    if (this.#closed || this.#watchers.has(folder)) return;
    const { root, onTouched, onError } = this.#parts;
    try {
      const watcher = watch(join(root, folder), (_, name) => {
        if (this.#watchers.get(folder) !== watcher) return;
        onTouched(name === null ? folder : folder === '' ? name : `${folder}/${name}`);
      });
      watcher.on('error', (error) => {
        this.#remove(folder);
        if (!this.#closed) onError(folder, error);
      });
      this.#watchers.set(folder, watcher);
    } catch (error) {
      onError(folder, error);
    }
  }

  /** A folder (and all in it) is gone, or another one has its name: a kernel watch stays with the old one. True if it was watched. */
  forget(folder: string): boolean {
    const within = folder === '' ? '' : `${folder}/`;
    const forgotten = [...this.#watchers.keys()].filter((name) => name === folder || name.startsWith(within));
    for (const name of forgotten) this.#remove(name);
    return forgotten.length > 0;
  }

  close(): void {
    this.#closed = true;
    this.forget('');
  }

  #remove(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }
}
