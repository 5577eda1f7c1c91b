/** Lets a bounded number of tasks run at once, and those of one key one after the other, in order. */
export class Slots {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  readonly #lastOfKey = new Map<string, Promise<void>>();
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#lastOfKey.get(key) ?? Promise.resolve();
    const result = before.then(() => this.#inSlot(task));
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#lastOfKey.set(key, settled);
    void settled.then(() => {
      if (this.#lastOfKey.get(key) === settled) this.#lastOfKey.delete(key);
    });
    return result;
  }

  /** Resolves when everything that was given until now has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#lastOfKey.values());
  }

  async #inSlot<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
