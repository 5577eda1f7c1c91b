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

/** Makes room for another task while this one waits for something. */
export type Rest = <T>(wait: () => Promise<T>) => Promise<T>;

/** Lets a bounded number of tasks run at once, and those of one key one after the other, in order. */
export class Slots {
  readonly #most: number;
  readonly #mostResting: number;
  #taken = 0;
  #resting = 0;
  /** The tasks that wait for a slot. */
  readonly #next: (() => void)[] = [];
  readonly #queues = new Map<string, { readonly tasks: SerialQueue; waiting: number }>();

  /** `mostResting`: how many tasks can make room for others at once. Further ones keep their slot while they wait. */
  constructor(most: number, mostResting = 0) {
    this.#most = most;
    this.#mostResting = mostResting;
  }

  async run<T>(key: string, task: (rest: Rest) => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { tasks: new SerialQueue(), waiting: 0 };
    this.#queues.set(key, queue);
    queue.waiting += 1;
    try {
      return await queue.tasks.run(() => this.#inSlot(task));
    } finally {
      queue.waiting -= 1;
      if (queue.waiting === 0) this.#queues.delete(key);
    }
  }

  async #inSlot<T>(task: (rest: Rest) => Promise<T>): Promise<T> {
    if (this.#taken < this.#most) this.#taken += 1;
    else await new Promise<void>((resolve) => this.#next.push(resolve));
    try {
      return await task((wait) => this.#rest(wait));
    } finally {
      this.#leave();
    }
  }

  async #rest<T>(wait: () => Promise<T>): Promise<T> {
    if (this.#resting >= this.#mostResting) return wait();
    this.#resting += 1;
    this.#leave();
    try {
      return await wait();
    } finally {
      this.#resting -= 1;
      // Before the tasks that have not begun: with thousands of them it would not end in time.
      if (this.#taken < this.#most) this.#taken += 1;
      else await new Promise<void>((resolve) => this.#next.unshift(resolve));
    }
  }

  /** Hands the slot to the next task, or gives it back. */
  #leave(): void {
    const next = this.#next.shift();
    if (next === undefined) this.#taken -= 1;
    else next();
  }

  /** Resolves when the tasks that were added before have ended. */
  async idle(): Promise<void> {
    await Promise.all([...this.#queues.values()].map(({ tasks }) => tasks.idle()));
  }
}
