import type { Logger } from 'pino';
import type { Container } from '../../engine/container.ts';
import type { EngineApi } from '../../engine/engine-api.ts';
import { describe } from '../../model/fault.ts';
import type { Registry } from '../../registry/registry.ts';
import type { SeenContainer } from './container-run.ts';
import { untilUnannounced } from './other-agents.ts';
import { sendSigterm, terminateProcess } from './send-sigterm.ts';

export type TerminationsParts = {
  readonly engine: Pick<EngineApi, 'kill' | 'inspect'>;
  readonly registry: Pick<Registry, 'read'>;
  /** How long another agent may drain the instances of a container, in ms. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
};

/**
 * How long a registry that does not answer may keep SIGTERM from a container that this agent announced nothing of, in ms: an election in
 * etcd takes 1 to 3 s. The application needs the rest of the stop time-out, or the engine would kill it before it gets SIGTERM.
 */
const silentMs = 3000;

/** The present run of a container. */
type Run = { readonly startedAt: string; readonly over: AbortController };

/** Passes SIGTERM on to the applications of containers that have left: their engine sent them a signal that they ignore. */
export class Terminations {
  readonly #parts: TerminationsParts;
  readonly #closing = new AbortController();
  /** Aborts when the agent is about to end. */
  readonly #settling = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  /** The runs whose SIGTERM waits for other agents, by container. */
  readonly #waiting = new Map<string, Run>();

  constructor(parts: TerminationsParts) {
    this.#parts = parts;
  }

  /** `announced`: this agent announced an instance of it, or tried to. */
  begin(container: Container, announced: boolean): void {
    const terminated = this.#terminate(container, announced).finally(() => this.#underWay.delete(terminated));
    this.#underWay.add(terminated);
  }

  /** Tells which containers there are now: a run that has ended gets no SIGTERM any more. */
  follow(seen: ReadonlyMap<string, SeenContainer>): void {
    for (const [id, { startedAt, over }] of this.#waiting) {
      const now = seen.get(id);
      if (now?.container.startedAt !== startedAt || now.stage === 'ending') over.abort();
    }
  }

  /** Resolves when those that are under way have ended. From now on, each is attempted once more at most. */
  async idle(): Promise<void> {
    this.#settling.abort();
    await Promise.all(this.#underWay);
  }

  /** Sends the signals that are left without waiting for other agents. */
  stop(): Promise<void> {
    this.#closing.abort();
    return this.idle();
  }

  async #terminate(container: Container, announced: boolean): Promise<void> {
    const { engine, logger } = this.#parts;
    const { id, name } = container;
    const about = { container: name, containerId: id };
    const hasEnded = await this.#untilUnannounced(container, announced);
    const onFailure = (error: unknown) => {
      const reason = describe(error);
      const message = `${name} left, and gets no SIGTERM yet: ${reason}; pointsman sends it again until the container has ended`;
      logger.error({ event: 'container-not-ended', ...about, reason }, message);
    };
    const options = { engine, lastAttempt: this.#settling.signal, terminateDirectly: terminateProcess, onFailure };
    const sent = hasEnded ? 'ended' : await sendSigterm(container, options);
    if (sent === 'failed') return;
    const end = { engine: 'sent SIGTERM to it', directly: 'sent SIGTERM to its first process, without the engine' };
    const message = sent === 'ended' ? `${name} left; it has ended` : `${name} left; pointsman ${end[sent]}`;
    logger.info({ event: 'container-left', ...about }, message);
  }

  /** Resolves with whether the run of the container ended meanwhile. */
  async #untilUnannounced(container: Container, announced: boolean): Promise<boolean> {
    const { registry, drainTimeoutMs: limitMs, logger } = this.#parts;
    const { id, name, startedAt, stopTimeoutMs } = container;
    const onPresent = (keys: readonly string[]) => {
      const message = `SIGTERM for ${name} waits until another agent has removed ${keys.join(', ')}: run one agent for each engine`;
      logger.warn({ event: 'second-agent', container: name, containerId: id, keys }, message);
    };
    const run: Run = { startedAt, over: new AbortController() };
    this.#waiting.set(id, run);
    await untilUnannounced(registry, container, {
      limitMs,
      // A negative time-out is none.
      silentMs: announced || stopTimeoutMs < 0 ? limitMs : Math.min(limitMs, silentMs, stopTimeoutMs / 2),
      signal: AbortSignal.any([this.#closing.signal, run.over.signal]),
      onPresent,
    });
    if (this.#waiting.get(id) === run) this.#waiting.delete(id);
    return run.over.signal.aborted;
  }
}
