import type { BalancerParts } from './balancer-parts.ts';
import type { Loop } from './loop.ts';

type ProcessWatchParts = Pick<BalancerParts, 'haproxy' | 'link' | 'troubles' | 'logger'> & {
  readonly loop: Pick<Loop, 'wake' | 'hurry'>;
};

/** Whether HAProxy runs, and whether pointsman has to read again what HAProxy runs. */
export class ProcessWatch {
  readonly #parts: ProcessWatchParts;
  /** Whether HAProxy ended and is not started again yet. */
  exited = false;
  /** How often HAProxy has ended: it may end again while it is being started. */
  exits = 0;
  /** Whether the next turn of the loop reads what HAProxy runs. */
  mustInspect = false;

  constructor(parts: ProcessWatchParts) {
    this.#parts = parts;
  }

  /** Has the loop read what HAProxy runs. */
  inspectSoon(): void {
    this.mustInspect = true;
    this.#parts.loop.wake();
  }

  /** HAProxy ended by itself. */
  onExit(reason: string): void {
    const { troubles, logger, link, loop } = this.#parts;
    troubles.failed('haproxy', reason);
    logger.error({ event: 'haproxy-exited', reason }, 'HAProxy ended; pointsman starts it again');
    this.exited = true;
    this.exits += 1;
    link.close();
    loop.hurry();
  }

  /** No worker answers, although HAProxy is not known to have ended: it may be stopped or stuck. */
  onSilent(reason: string): void {
    if (this.exited) return;
    const { troubles, logger, link } = this.#parts;
    logger.error({ event: 'haproxy-silent', reason }, `HAProxy does not answer: ${reason}`);
    troubles.failed('inspection', reason);
    // Commands that wait for an answer fail now. The next attempt makes a new connection.
    link.close();
    this.inspectSoon();
  }

  onAnswer(): void {
    const { logger, loop } = this.#parts;
    logger.info({ event: 'haproxy-answers' }, 'HAProxy answers again');
    this.mustInspect = true;
    loop.hurry();
  }

  /** The runtime connection broke: the worker was replaced or has ended. */
  onLost(reason: string): void {
    this.#parts.logger.info({ event: 'runtime-lost', reason }, 'pointsman lost the connection to HAProxy');
    this.inspectSoon();
  }

  /** Whether this worker serves. If it does not, the loop reads what HAProxy runs. */
  async isCurrent(workerPid: number): Promise<boolean> {
    const processes = await this.#parts.haproxy.processes();
    if (processes?.workerPid === workerPid) return true;
    this.inspectSoon();
    return false;
  }
}
