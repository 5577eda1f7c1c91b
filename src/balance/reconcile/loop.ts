import type { Timers } from './timers.ts';

/** Something that may have to be done. */
export type Task = {
  readonly name: string;
  readonly due: () => boolean;
  readonly run: () => Promise<void>;
  /** It may be due again and again, as long as keys change: what else is due comes after each time. */
  readonly yields?: true;
};

type LoopParts = {
  /** The first of them that is due is done, then it is looked again. */
  readonly tasks: readonly Task[];
  readonly timers: Timers;
  /** Told of a task that failed. Whether what is due has to wait a while now. */
  readonly onFailure: (error: unknown, task: string) => boolean;
  /** Told after each task, with its name, and after each failure that something has to wait for. */
  readonly onDone: (succeeded: string | undefined) => void;
  /** In how many ms a task is due of which nobody will tell; undefined when none is. */
  readonly dueInMs: () => number | undefined;
};

const retryMs = { first: 100, most: 5000 };

/** Does one task after the other, until none is due. After failures in a row it waits ever longer. */
export class Loop {
  readonly #parts: LoopParts;
  #turning: Promise<void> | undefined;
  #begun = false;
  #ended = false;
  #retryMs = retryMs.first;
  #last: Task | undefined;

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  /** Undefined while nothing is due. */
  get turning(): Promise<void> | undefined {
    return this.#turning;
  }

  /** From now on what is due is done. */
  begin(): void {
    this.#begun = true;
    this.wake();
  }

  /** Does what is under way, and nothing more. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#turning;
  }

  /** Something may be due. */
  wake(): void {
    if (this.#turning !== undefined || this.#ended || !this.#begun) return;
    if (this.#next() === undefined) {
      this.#await();
      return;
    }
    this.#turning = this.#turn().finally(() => {
      this.#turning = undefined;
      if (this.#next() === undefined) this.#await();
      else this.wake();
    });
  }

  /** What is due need not wait any more, whatever failed before. */
  hurry(): void {
    this.#parts.timers.disarm('retry');
    this.wake();
  }

  /** Whether another task than this one is due. */
  isDueBeside(task: Task): boolean {
    return this.#parts.tasks.some((other) => other !== task && other.due());
  }

  #next(): Task | undefined {
    const { tasks, timers } = this.#parts;
    if (timers.has('retry')) return undefined;
    const first = tasks.find(({ due }) => due());
    if (first?.yields !== true || this.#last?.yields !== true) return first;
    return tasks.find(({ due, yields }) => yields !== true && due()) ?? first;
  }

  async #turn(): Promise<void> {
    const { timers, onFailure, onDone } = this.#parts;
    for (;;) {
      const task = this.#ended ? undefined : this.#next();
      if (task === undefined) return;
      let succeeded: string | undefined;
      try {
        this.#last = task;
        await task.run();
        succeeded = task.name;
        this.#retryMs = retryMs.first;
      } catch (error) {
        if (!onFailure(error, task.name)) continue;
        timers.arm('retry', this.#retryMs, () => this.wake());
        this.#retryMs = Math.min(this.#retryMs * 2, retryMs.most);
      }
      onDone(succeeded);
    }
  }

  #await(): void {
    const { timers, dueInMs } = this.#parts;
    const ms = dueInMs();
    if (ms === undefined || timers.has('retry')) return;
    // A timer may fire a fraction of a millisecond early by our clock, and then finds nothing due: it is armed anew.
    timers.arm('due', Math.max(1, Math.ceil(ms)), () => this.wake());
  }
}
