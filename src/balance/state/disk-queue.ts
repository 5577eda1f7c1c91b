import { Fault } from '../../model/fault.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';

// A healthy disk takes 5 to 50 ms for a configuration of 1 MB. The deadline grows with each write that misses it, so that a slow
// disk succeeds in the end.
const deadline = { firstMs: 2000, mostMs: 30_000 };

/**
 * Work on one disk, one after the other. A disk may hang for minutes (a network disk, or a busy one), and Node cannot stop a call
 * that has begun. The queue waits for no more than one such call, so that it has only one of Node's four threads.
 */
export class DiskQueue {
  readonly #queue = new SerialQueue();
  /** How many times in a row work missed its deadline. Infinity means the longest deadline. */
  #late = Number.POSITIVE_INFINITY;
  /** Work that missed its deadline has not ended yet. */
  #stuck = false;
  readonly #onLate: () => void;

  /** Calls `onLate` when work ends after its deadline: it may have changed what is on disk. */
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  /** Does the work in its turn, without a deadline. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  /**
   * Does the work in its turn. Rejects with Fault `storage` when the disk misses the deadline: then work that has not begun is left
   * out, and work that has begun goes on.
   */
  async soon<T>(where: string, work: () => Promise<T>): Promise<T> {
    const hangs = new Fault('storage', 'the disk does not answer', { where });
    if (this.#stuck) throw hangs;
    let givenUp = false;
    let begun = false;
    const done = this.inTurn(async () => {
      if (givenUp) throw hangs;
      begun = true;
      return work();
    });
    let timer: NodeJS.Timeout | undefined;
    const missed = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          givenUp = true;
          reject(hangs);
          this.#late += 1;
          this.#stuck = true;
          void done
            .catch(() => undefined)
            .then(() => {
              this.#stuck = false;
              if (begun) this.#onLate();
            });
        },
        backoffMs(deadline, this.#late + 1),
      );
    });
    try {
      return await Promise.race([done, missed]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Uses the longest deadline: no client waits for the last writes of a process. */
  bePatient(): void {
    this.#late = Number.POSITIVE_INFINITY;
  }

  /** Uses the shortest deadline: HAProxy serves and waits for the writes, or the disk has just been quick enough. */
  beQuick(): void {
    this.#late = 0;
  }
}

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
