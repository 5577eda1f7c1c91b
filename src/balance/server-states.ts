import type { Logger } from 'pino';
import { type Newcomer, newcomersOf } from '../haproxy/newcomers.ts';
import type { Running } from '../haproxy/running-state.ts';
import type { RuntimeLink } from '../haproxy/runtime-link.ts';
import { formatServerStates, noServerStates } from '../haproxy/server-state-file.ts';
import { describe } from '../model/fault.ts';
import type { Rendered } from '../render/render.ts';
import type { FirstChecks } from './first-check/first-checks.ts';

type ServerStatesParts = {
  readonly path: string;
  readonly link: Pick<RuntimeLink, 'serverStates'>;
  readonly firstChecks: Pick<FirstChecks, 'begin' | 'currentRule' | 'waitingOf'>;
  /** Rejects with Fault `storage`. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly logger: Logger;
};

/** Has the worker of a reload begin with what the one before knows of the servers' health. */
export class ServerStates {
  readonly #parts: ServerStatesParts;
  #written: string | undefined;
  #newcomers: readonly Newcomer[] = [];

  constructor(parts: ServerStatesParts) {
    this.#parts = parts;
  }

  /** What the worker that serves knows. A worker that cannot be asked keeps nobody from reloading. */
  async read(): Promise<Running['servers']> {
    try {
      return await this.#parts.link.serverStates();
    } catch (error) {
      const reason = describe(error);
      this.#parts.logger.warn(
        { event: 'server-states-unknown', reason },
        'servers that are down count as up after this reload, until a check fails',
      );
      return new Map();
    }
  }

  /** Before HAProxy loads `loaded` instead of what it serves. Rejects with Fault `storage`. */
  async hand(served: Rendered, loaded: Rendered, states: Running['servers']): Promise<void> {
    const { firstChecks } = this.#parts;
    this.#newcomers = newcomersOf(served, loaded, firstChecks.currentRule);
    await this.#write(formatServerStates(loaded, states, this.#newcomers));
  }

  /**
   * Before HAProxy, which ended, is started again on `loaded`. Nobody can be asked what its checks had found, so only those that wait
   * for their first check begin as down. Never rejects.
   */
  async handWaiting(loaded: Rendered): Promise<void> {
    const text = formatServerStates(loaded, new Map(), this.#parts.firstChecks.waitingOf(loaded));
    await this.#write(text).catch((error: unknown) => this.#notSaved(error));
  }

  /** HAProxy has loaded what was handed. */
  loaded(): void {
    this.#parts.firstChecks.begin(this.#newcomers);
  }

  /** The states are used, or stale: whoever has HAProxy load the configuration next must not get them. Never rejects. */
  async forget(): Promise<void> {
    await this.#write(noServerStates).catch((error: unknown) => this.#notSaved(error));
  }

  #notSaved(error: unknown): void {
    const reason = describe(error);
    this.#parts.logger.warn({ event: 'not-saved', what: 'server states', reason }, reason);
  }

  async #write(text: string): Promise<void> {
    if (text === this.#written) return;
    this.#written = undefined;
    await this.#parts.write(this.#parts.path, text);
    this.#written = text;
  }
}
