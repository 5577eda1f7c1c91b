import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';

export type TreeWatchParts = {
  readonly root: string;
  /** Something happened to this path, relative to the root with "/". If the path is a folder, it happened somewhere in it. */
  readonly onTouched: (path: string) => void;
  readonly onError: (folder: string, error: unknown) => void;
};

/**
 * Watches many folders below a root and names the path that changed. Use it when reading all folders again is too slow, as for the
 * registry in a folder; its user reads a folder again after an error.
 *
 * It has one kernel watch for each folder. chokidar (5.0.0) throttles (5 ms a file, 1 s a folder listing): it drops events instead of
 * delaying them, and lost the second of two edits in 2 of 6 runs. It also has one kernel watch for each file, 10,000 for 10,000
 * instances, where many systems allow a user 8192.
 */
export class TreeWatch {
  readonly #parts: TreeWatchParts;
  readonly #watchers = new Map<string, FSWatcher>();
  #closed = false;

  constructor(parts: TreeWatchParts) {
    this.#parts = parts;
  }

  /** Call this before you list the folder, so that no change is missed between the two. */
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

  /** Ends the watches of a folder, and of all folders in it, that was deleted or replaced. Returns whether there were any. */
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
