import { describe, Fault } from '../model/fault.ts';
import { type EngineApi, EngineRefusal } from './engine-api.ts';

/** An engine that is restarted answers again after 2 to 10 s. */
const mostMs = 30_000;
const pauseMs = 500;

export type PatientEngineParts = {
  readonly engine: EngineApi;
  /** A monotonic clock, in ms. */
  readonly now: () => number;
  /** Resolves after so many ms, or when `signal` aborts. */
  readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** Called before each further attempt, with the reason. */
  readonly onWait: (reason: string) => void;
};

/**
 * An engine whose calls are repeated while it does not answer, for 30 s since the first call without an answer: calls after that fail at
 * once until the engine answers again. Repeating a call is safe: a container that was stopped or removed stays so.
 */
export class PatientEngine implements EngineApi {
  readonly #parts: PatientEngineParts;
  #silentSince: number | undefined;

  constructor(parts: PatientEngineParts) {
    this.#parts = parts;
  }

  get location(): string {
    return this.#parts.engine.location;
  }

  list: EngineApi['list'] = (options, signal) => this.#repeat(() => this.#parts.engine.list(options, signal), signal);

  inspect: EngineApi['inspect'] = (container, signal) =>
    this.#repeat(() => this.#parts.engine.inspect(container, signal), signal);

  kill: EngineApi['kill'] = (container, signalName, signal) =>
    this.#repeat(() => this.#parts.engine.kill(container, signalName, signal), signal);

  stop: EngineApi['stop'] = (container, options, signal) =>
    this.#repeat(() => this.#parts.engine.stop(container, options, signal), signal);

  remove: EngineApi['remove'] = (container, signal) =>
    this.#repeat(() => this.#parts.engine.remove(container, signal), signal);

  events: EngineApi['events'] = (handlers, signal) => this.#parts.engine.events(handlers, signal);

  async #repeat<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { now, pause, onWait } = this.#parts;
    for (;;) {
      try {
        const value = await call();
        this.#silentSince = undefined;
        return value;
      } catch (error) {
        if (!isSilence(error)) {
          this.#silentSince = undefined;
          throw error;
        }
        this.#silentSince ??= now();
        if (signal?.aborted === true || now() - this.#silentSince >= mostMs) throw error;
        onWait(describe(error));
        await pause(pauseMs, signal);
      }
    }
  }
}

/** What a proxy answers while the engine behind it does not. */
const silentStatus: readonly number[] = [502, 503, 504];

/** Whether the engine may answer the same call in a moment. */
function isSilence(error: unknown): boolean {
  if (error instanceof EngineRefusal) return silentStatus.includes(error.status);
  return error instanceof Fault && error.code === 'engine';
}
