import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { SerialQueue } from '../waiting/serial-queue.ts';

export type FolderWatchParts = {
  readonly path: string;
  /** Reads the folder, which may have changed. The next call begins after the previous one has resolved. */
  readonly onTouched: () => Promise<void>;
};

// An editor or a deployment writes a file in several steps. The folder is read when nothing has happened for this time.
const quietMs = 50;
/** While changes do not stop, the folder is read this often. */
const mostQuietMs = 500;
/** The folder is read this often without an event: a watch misses changes when the folder was replaced, or is on a network. */
const rescanMs = 10_000;
/** While there is no folder, the folder is read this often: no event reports that it comes back. */
const awayMs = 1000;

/**
 * Watches one folder with many files, whose reader reads all of it: after changes, and every 10 s. It has one kernel watch; chokidar
 * (5.0.0) has one for each file, and needs 9 MB for a thousand files. Use `watchFolders` for a few files, such as templates, and
 * `TreeWatch` to learn which file of many folders changed.
 */
export class FolderWatch {
  readonly #parts: FolderWatchParts;
  #watcher: { readonly folder: string; readonly watcher: FSWatcher } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #touchedAt: number | undefined;
  readonly #looks = new SerialQueue();
  #closed = false;

  constructor(parts: FolderWatchParts) {
    this.#parts = parts;
  }

  /** Begins to watch, and calls `onTouched` soon: the folder may have changed before the watch. */
  async open(): Promise<void> {
    await this.#renew();
    this.#schedule(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watcher?.watcher.close();
    await this.#looks.idle();
  }

  #touched(): void {
    const now = performance.now();
    this.#touchedAt ??= now;
    this.#schedule(Math.min(quietMs, Math.max(0, mostQuietMs - (now - this.#touchedAt))));
  }

  #schedule(inMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#looks.run(() => this.#look()), inMs);
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    this.#touchedAt = undefined;
    await this.#renew();
    await this.#parts.onTouched();
    if (this.#touchedAt === undefined) this.#schedule(this.#watcher === undefined ? awayMs : rescanMs);
  }

  /** Makes a new watch when another folder has the name: a kernel watch follows the folder, not the name. */
  async #renew(): Promise<void> {
    const { path } = this.#parts;
    try {
      const { dev, ino } = await stat(path, { bigint: true });
      const folder = `${dev}:${ino}`;
      if (this.#watcher?.folder === folder || this.#closed) return;
      this.#watcher?.watcher.close();
      const watcher = watch(path, () => this.#touched());
      // The next timed look makes a new watch.
      watcher.on('error', () => {
        watcher.close();
        this.#watcher = undefined;
      });
      this.#watcher = { folder, watcher };
    } catch {
      // There is no folder. Its reader reports that.
      this.#watcher?.watcher.close();
      this.#watcher = undefined;
    }
  }
}
