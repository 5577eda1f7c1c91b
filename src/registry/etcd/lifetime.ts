/**
 * How long something that makes calls lasts. Not AbortSignal.any over one signal that lives as long as the process: in Node 20
 * each use of it leaves about 75 bytes there. Nor a listener for each call: adding one looks at all that there are.
 */
export class Lifetime {
  readonly #end = new AbortController();
  readonly #calls = new Set<AbortController>();

  /** Aborts with the end. For few listeners. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  end(): void {
    this.#end.abort();
    for (const call of this.#calls) call.abort(this.#end.signal.reason);
  }

  /** Runs `call` with a signal that aborts with the end, or with `given` if that comes first. */
  async during<T>(given: AbortSignal | undefined, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const onAbort = () => controller.abort(given?.reason);
    this.#calls.add(controller);
    given?.addEventListener('abort', onAbort);
    if (this.#end.signal.aborted) controller.abort(this.#end.signal.reason);
    else if (given?.aborted) onAbort();
    try {
      return await call(controller.signal);
    } finally {
      this.#calls.delete(controller);
      given?.removeEventListener('abort', onAbort);
    }
  }
}
