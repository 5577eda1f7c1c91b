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

/** Lets a bounded number of tasks run at once, and those of one key one after the other, in order. */
export class Slots {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #queues = new Map<string, { readonly tasks: SerialQueue; waiting: number }>();

  constructor(most: number) {
    this.#limit = pLimit(most);
  }

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { tasks: new SerialQueue(), waiting: 0 };
    this.#queues.set(key, queue);
    queue.waiting += 1;
    try {
      return await queue.tasks.run(() => this.#limit(task));
    } finally {
      queue.waiting -= 1;
      if (queue.waiting === 0) this.#queues.delete(key);
    }
  }

  /** Resolves when the tasks that were added before have ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map(({ tasks }) => tasks.idle()));
  }
}
