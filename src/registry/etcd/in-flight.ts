/**
 * Lets so many calls run at a time; the others wait in order. A thousand calls at once on one connection would wait for each
 * other until their deadlines, and a missed deadline costs the connection. Not p-limit, which cannot end a wait by a signal.
 */
export class InFlight {
  readonly #most: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Waits for a turn. Resolves with the function that ends the turn; with undefined when `signal` aborts before. */
  async enter(signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    if (this.#running < this.#most) this.#running += 1;
    else if (!(await this.#turn(signal))) return undefined;
    return () => this.#leave();
  }

  #turn(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const go = () => {
        signal.removeEventListener('abort', giveUp);
        resolve(true);
      };
      const giveUp = () => {
        this.#waiting.delete(go);
        resolve(false);
      };
      this.#waiting.add(go);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Hands the turn on, or gives it back. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
