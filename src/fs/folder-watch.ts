import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';

export type FolderWatchParts = {
  readonly path: string;
  /** Something in the folder may have changed. The next call comes when the one before has resolved. */
  readonly onTouched: () => Promise<void>;
};

// An editor or a deployment touches a file several times; and half a file should not be taken for the whole.
const quietMs = 50;
/** Under a stream of changes it is looked at this often. */
const mostQuietMs = 500;
/** A watch may miss something: the folder was replaced, or lies on a network. */
const rescanMs = 10_000;
/** While there is no folder, nothing can tell that it comes back. */
const awayMs = 1000;

/**
 * Says when to look at a folder again. One kernel watch for the folder, not chokidar (5.0.0): that takes one for each
 * file, and 9 MB for a thousand.
 */
export class FolderWatch {
  readonly #parts: FolderWatchParts;
  #watcher: { readonly folder: string; readonly watcher: FSWatcher } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #touchedAt: number | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: FolderWatchParts) {
    this.#parts = parts;
  }

  /** Begins to watch; what changed since the folder was read before is looked at now. */
  async open(): Promise<void> {
    await this.#renew();
    this.#schedule(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watcher?.watcher.close();
    await this.#looking;
  }

  #touched(): void {
    const now = performance.now();
    this.#touchedAt ??= now;
    this.#schedule(Math.min(quietMs, Math.max(0, mostQuietMs - (now - this.#touchedAt))));
  }

  #schedule(inMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#looking.then(() => this.#look());
    }, inMs);
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    this.#touchedAt = undefined;
    await this.#renew();
    await this.#parts.onTouched();
    if (this.#touchedAt === undefined) this.#schedule(this.#watcher === undefined ? awayMs : rescanMs);
  }

  /** A watch stays with the folder that it was made for, even when another one has its name. */
  async #renew(): Promise<void> {
    const { path } = this.#parts;
    try {
      const { dev, ino } = await stat(path, { bigint: true });
      const folder = `${dev}:${ino}`;
      if (this.#watcher?.folder === folder || this.#closed) return;
      this.#watcher?.watcher.close();
      const watcher = watch(path, () => this.#touched());
      // It is looked at all the same, only later.
      watcher.on('error', () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = { folder, watcher };
    } catch {
      // The folder is away; whoever reads it says so.
      this.#watcher?.watcher.close();
      this.#watcher = undefined;
    }
  }
}
