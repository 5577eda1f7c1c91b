import { backoffMs } from '../../waiting/backoff.ts';
import type { TroublePart } from '../observe/troubles.ts';
export type Task = {
  readonly name: string;
  /** The trouble that a failure of this task begins. */
  readonly part?: TroublePart;
  readonly due: () => boolean;
  readonly run: () => Promise<void>;
  /** The task may be due again at once, as long as keys change: other tasks that are due run after each time. */
  readonly yields?: true;
};

export type LoopWork = {
  /** The loop runs the first task that is due, then it looks again. */
  readonly tasks: readonly Task[];
  /** Returns whether the loop has to pause before the next task. */
  readonly onFailure: (error: unknown, task: Task) => boolean;
  /** Runs after each task, and after each failure that makes the loop pause. */
  readonly onDone: (succeeded: Task | undefined) => void;
  /** Milliseconds until the next task that no `wake` announces; undefined when there is none. */
  readonly dueInMs: () => number | undefined;
};

const retries = { firstMs: 100, mostMs: 5000 };

/** Runs one task after the other, until none is due. After a failure it pauses; the pause grows with each failure in a row. */
export class Loop {
  readonly #timers: Timers;
  #work: LoopWork | undefined;
  #turning: Promise<void> | undefined;
  #ended = false;
  /** The number of failures in a row. */
  #failures = 0;
  #last: Task | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Undefined while nothing is due. */
  get turning(): Promise<void> | undefined {
    return this.#turning;
  }

  begin(work: LoopWork): void {
    this.#work = work;
    this.wake();
  }

  /** Resolves when the task that runs has ended. No other task begins. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#turning;
  }
  wake(): void {
    if (this.#turning !== undefined || this.#ended || this.#work === undefined) return;
    if (this.#next() === undefined) {
      this.#await();
      return;
    }
    this.#turning = this.#turn(this.#work).finally(() => {
      this.#turning = undefined;
      if (this.#next() === undefined) this.#await();
      else this.wake();
    });
  }

  /** Ends the pause after a failure. */
  hurry(): void {
    this.#timers.disarm('retry');
    this.wake();
  }

  /** Whether a task is due that has another name. */
  isDueBeside(name: string): boolean {
    return this.#work?.tasks.some((task) => task.name !== name && task.due()) === true;
  }

  #next(): Task | undefined {
    if (this.#work === undefined || this.#timers.has('retry')) return undefined;
    const { tasks } = this.#work;
    const first = tasks.find(({ due }) => due());
    if (first?.yields !== true || this.#last?.yields !== true) return first;
    return tasks.find(({ due, yields }) => yields !== true && due()) ?? first;
  }

  async #turn({ onFailure, onDone }: LoopWork): Promise<void> {
    for (;;) {
      const task = this.#ended ? undefined : this.#next();
      if (task === undefined) return;
      let succeeded: Task | undefined;
      try {
        this.#last = task;
        await task.run();
        succeeded = task;
        this.#failures = 0;
      } catch (error) {
        if (!onFailure(error, task)) continue;
        this.#failures += 1;
        this.#timers.arm('retry', backoffMs(retries, this.#failures), () => this.wake());
      }
      onDone(succeeded);
    }
  }

  #await(): void {
    const ms = this.#work?.dueInMs();
    if (ms === undefined || this.#timers.has('retry')) return;
    // A timer may fire a fraction of a millisecond early by our clock: no task is due then, and the timer is armed again.
    this.#timers.arm('due', Math.max(1, Math.ceil(ms)), () => this.wake());
  }
}

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
