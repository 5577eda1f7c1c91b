import type { Logger } from 'pino';
import type { Container } from '../../engine/container.ts';
import type { EngineApi } from '../../engine/engine-api.ts';
import { describe } from '../../model/fault.ts';
import type { Registry } from '../../registry/registry.ts';
import { untilUnannounced } from './other-agents.ts';

export type TerminationsParts = {
  readonly engine: Pick<EngineApi, 'kill'>;
  readonly registry: Pick<Registry, 'read'>;
  /** How long another agent may drain the instances of a container, in ms. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
};

/** Passes SIGTERM on to the applications of containers that have left: their engine sent them a signal that they ignore. */
export class Terminations {
  readonly #parts: TerminationsParts;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  constructor(parts: TerminationsParts) {
    this.#parts = parts;
  }

  begin(container: Container): void {
    const terminated = this.#terminate(container).finally(() => this.#underWay.delete(terminated));
    this.#underWay.add(terminated);
  }

  /** Resolves when those that are under way have ended. */
  async idle(): Promise<void> {
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
    try {
      const runs = await engine.kill(id, 'TERM');
      const end = runs ? 'pointsman sent SIGTERM to it' : 'it has ended by itself';
      logger.info({ event: 'container-left', ...about }, `${name} left; ${end}`);
    } catch (error) {
      const reason = describe(error);
      const message = `${name} left, and gets no SIGTERM: ${reason}; its engine kills it when its stop time-out is over`;
      logger.error({ event: 'container-not-ended', ...about, reason }, message);
    }
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
