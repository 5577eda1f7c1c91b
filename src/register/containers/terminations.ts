import type { Logger } from 'pino';
import type { Container } from '../../engine/container.ts';
import type { EngineApi } from '../../engine/engine-api.ts';
import { describe } from '../../model/fault.ts';
import type { Registry } from '../../registry/registry.ts';
import { untilUnannounced } from './other-agents.ts';
import { sendSigterm, terminateProcess } from './send-sigterm.ts';

export type TerminationsParts = {
  readonly engine: Pick<EngineApi, 'kill' | 'inspect'>;
  readonly registry: Pick<Registry, 'read'>;
  /** How long another agent may drain the instances of a container, in ms. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
};

/** Passes SIGTERM on to the applications of containers that have left: their engine sent them a signal that they ignore. */
export class Terminations {
  readonly #parts: TerminationsParts;
  readonly #closing = new AbortController();
  /** Aborts when the agent is about to end. */
  readonly #settling = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(parts: TerminationsParts) {
    this.#parts = parts;
  }

  begin(container: Container): void {
    const terminated = this.#terminate(container).finally(() => this.#underWay.delete(terminated));
    this.#underWay.add(terminated);
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

  async #terminate(container: Container): Promise<void> {
    const { engine, logger } = this.#parts;
    const { id, name } = container;
    const about = { container: name, containerId: id };
    await this.#untilUnannounced(container);
    const onFailure = (error: unknown) => {
      const reason = describe(error);
      const message = `${name} left, and gets no SIGTERM yet: ${reason}; pointsman sends it again until the container has ended`;
      logger.error({ event: 'container-not-ended', ...about, reason }, message);
    };
    const lastAttempt = this.#settling.signal;
    const sent = await sendSigterm(container, { engine, lastAttempt, terminateDirectly: terminateProcess, onFailure });
    if (sent === 'failed') return;
    const end = { engine: 'sent SIGTERM to it', directly: 'sent SIGTERM to its first process, without the engine' };
    const message = sent === 'ended' ? `${name} left; it has ended` : `${name} left; pointsman ${end[sent]}`;
    logger.info({ event: 'container-left', ...about }, message);
  }

  async #untilUnannounced(container: Container): Promise<void> {
    const { registry, drainTimeoutMs, logger } = this.#parts;
    const { id, name } = container;
    const onPresent = (keys: readonly string[]) => {
      const message = `SIGTERM for ${name} waits until another agent has removed ${keys.join(', ')}: run one agent for each engine`;
      logger.warn({ event: 'second-agent', container: name, containerId: id, keys }, message);
    };
    await untilUnannounced(registry, container, { limitMs: drainTimeoutMs, signal: this.#closing.signal, onPresent });
  }
}
