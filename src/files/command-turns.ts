import pLimit from 'p-limit';
import { deferred } from '../waiting/deferred.ts';

/** How many commands may begin at once. */
const atOnce = 8;
/** How long a command counts among them, in ms. One that takes longer hardly uses the processor: it waits or hangs. */
export const patienceMs = 500;

/**
 * Bounds how many commands run at once, without a hanging one keeping its turn: after `patienceMs` the next one begins. A
 * command that took longer the last time waits only for others like it. How many hang at once is bounded by the number of
 * declared files: each has one command at a time, and each command has a deadline.
 */
export class CommandTurns {
  readonly #quick = pLimit(atOnce);
  readonly #slow = pLimit(atOnce);
  readonly #wereSlow = new Set<string>();

  /** Runs `work` in its turn; `name` is the same each time for the same command. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#wereSlow.has(name) ? this.#slow : this.#quick;
    const begun = deferred();
    const over = deferred();
    void turns(() => {
      begun.resolve();
      return over.promise;
    });
    await begun.promise;
    let slow = false;
    const timer = setTimeout(() => {
      slow = true;
      this.#wereSlow.add(name);
      over.resolve();
    }, patienceMs);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
      if (!slow) this.#wereSlow.delete(name);
      over.resolve();
    }
  }

  /** Whether this command took long the last time. */
  wasSlow(name: string): boolean {
    return this.#wereSlow.has(name);
  }
}
