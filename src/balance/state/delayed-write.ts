import type { DiskQueue } from './disk-queue.ts';

/** Makes one write of a burst of changes. */
export class DelayedWrite {
  readonly #disk: DiskQueue;
  readonly #write: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  /** A write waits for its turn. It will write the newest state, so a second one would add nothing. */
  #queued = false;

  /** `write` handles its own errors: it must not reject. */
  constructor(disk: DiskQueue, write: () => Promise<void>) {
    this.#disk = disk;
    this.#write = write;
  }

  /** Writes in `ms`, or earlier if it was scheduled before. */
  schedule(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#queued) return;
      this.#queued = true;
      void this.#disk.inTurn(() => {
        this.#queued = false;
        return this.#write();
      });
    }, ms);
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
