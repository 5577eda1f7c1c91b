/** The deadline of a stage of the leave: its time, or the next signal. */
export class StageDeadline {
  #stage: AbortController | undefined;

  /** Runs one stage; its signal aborts after `ms`, or when `end` is called meanwhile. */
  async within<T>(ms: number, stage: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#stage = controller;
    const timer = setTimeout(() => controller.abort(), ms);
    try {
      return await stage(controller.signal);
    } finally {
      clearTimeout(timer);
      this.#stage = undefined;
    }
  }

  /** Ends the stage that runs now; each further SIGTERM does. */
  end(): void {
    this.#stage?.abort();
  }
}
