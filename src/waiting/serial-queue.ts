import pLimit from 'p-limit';

/** Runs tasks one after the other. A task that rejects does not stop the next one. */
export class SerialQueue {
  readonly #limit = pLimit(1);

  run<T>(task: () => Promise<T>): Promise<T> {
    return this.#limit(task);
  }

  /** Resolves when the tasks that were added before have ended. */
  idle(): Promise<void> {
    return this.#limit(async () => undefined);
  }
}
