import { Fault } from '../../model/fault.ts';

// A healthy disk takes 5 to 50 ms for a configuration of 1 MB. A slow one is waited for longer each time, so that it gets
// there in the end.
const patienceMs = { serving: 2000, most: 30_000 };

/**
 * Work on one disk, one after the other. A disk may hang for minutes (a network's, or one that is full of work), and what is
 * begun there cannot be taken back: it is left to itself, so that of Node's four threads it has only one.
 */
export class DiskQueue {
  #last: Promise<unknown> = Promise.resolve();
  #patienceMs = patienceMs.most;
  /** Something was given up and has not ended yet. */
  #stuck = false;
  readonly #onLate: () => void;

  /** `onLate` is told when something ends that was given up: it may have changed what is on disk. */
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  /** Does it in its turn, and waits for as long as that takes. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /**
   * Does it in its turn and soon: rejects with Fault `storage` when the disk does not answer. What has not begun by then is
   * left out; what has goes on.
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
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        givenUp = true;
        reject(hangs);
        this.#patienceMs = Math.min(this.#patienceMs * 2, patienceMs.most);
        this.#stuck = true;
        void done
          .catch(() => undefined)
          .then(() => {
            this.#stuck = false;
            if (begun) this.#onLate();
          });
      }, this.#patienceMs);
    });
    try {
      return await Promise.race([done, deadline]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nobody is served any more: what is written last may take its time. */
  bePatient(): void {
    this.#patienceMs = patienceMs.most;
  }

  /** What serves waits for it from now on; or it has just been quick enough. */
  beQuick(): void {
    this.#patienceMs = patienceMs.serving;
  }
}
