/** One timer for each name: a new timer replaces the old one. No timer fires after `close`. */
export class Timers {
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #onFailure: (name: string, error: unknown) => void;
  #closed = false;

  /** `onFailure` gets the error of an action that throws or rejects. */
  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  has(name: string): boolean {
    return this.#timers.has(name);
  }

  arm(name: string, ms: number, action: () => void | Promise<void>): void {
    if (this.#closed) return;
    clearTimeout(this.#timers.get(name));
    const timer = setTimeout(() => {
      this.#timers.delete(name);
      Promise.resolve()
        .then(action)
        .catch((error: unknown) => this.#onFailure(name, error));
    }, ms);
    this.#timers.set(name, timer);
  }

  disarm(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
