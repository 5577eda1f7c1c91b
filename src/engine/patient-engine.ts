import { describe, Fault } from '../model/fault.ts';
import { type EngineApi, EngineRefusal } from './engine-api.ts';

/** An engine that is restarted answers again after 2 to 10 s. */
const mostMs = 30_000;
const pauseMs = 500;

/** The calls that can be repeated: a container that was stopped or removed stays so. */
export type RepeatableEngine = Pick<EngineApi, 'location' | 'list' | 'inspect' | 'stop' | 'remove'>;

export type PatientEngineParts = {
  readonly engine: RepeatableEngine;
  /** A monotonic clock, in ms. */
  readonly now: () => number;
  /** Resolves after so many ms, or when `signal` aborts. */
  readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** Called before each further attempt, with the reason. */
  readonly onWait: (reason: string) => void;
};

/**
 * An engine whose calls are repeated while it does not answer, for 30 s since the first call without an answer: calls after that fail at
 * once until the engine answers again.
 */
export class PatientEngine implements RepeatableEngine {
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

  stop: EngineApi['stop'] = (container, options, signal) =>
    this.#repeat(() => this.#parts.engine.stop(container, options, signal), signal);

  /** The engine removes a container that was started with --rm by itself, and answers 409 meanwhile. */
  remove: EngineApi['remove'] = (container, signal) =>
    this.#repeat(() => this.#parts.engine.remove(container, signal), signal, [...silentStatus, 409]);

  async #repeat<T>(
    call: () => Promise<T>,
    signal: AbortSignal | undefined,
    repeated: readonly number[] = silentStatus,
  ): Promise<T> {
    const { now, pause, onWait } = this.#parts;
    for (;;) {
      try {
        const value = await call();
        this.#silentSince = undefined;
        return value;
      } catch (error) {
        if (!mayAnswerSoon(error, repeated)) {
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

function mayAnswerSoon(error: unknown, repeated: readonly number[]): boolean {
  if (error instanceof EngineRefusal) return repeated.includes(error.status);
  return error instanceof Fault && error.code === 'engine';
}
