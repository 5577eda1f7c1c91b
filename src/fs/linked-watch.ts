import { linkFolders } from './link-folders.ts';
import { watchFolders } from './watch-folders.ts';

export type LinkedWatchOptions = {
  readonly folder: string;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
};

/** Watches a folder, and the folders that symbolic links in it lead to: a renewal may replace a file there. */
export class LinkedWatch {
  readonly #options: LinkedWatchOptions;
  #end: () => Promise<void>;
  #linked: readonly string[] = [];
  #endLinked: (() => Promise<void>) | undefined;
  #following: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LinkedWatchOptions) {
    this.#options = options;
    this.#end = watchFolders({ ...options, folders: [options.folder] });
  }

  /** The folder has these files now. */
  follow(files: readonly string[]): Promise<void> {
    this.#following = this.#following.then(() => this.#follow(files)).catch(this.#options.onError);
    return this.#following;
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
    await this.#following;
    await this.#endLinked?.();
  }
}
