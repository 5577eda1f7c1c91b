import { isChecked, type Newcomer, newcomersOf } from '../../haproxy/newcomers.ts';
import type { RunningServer, RunningState } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { formatServerStates, noServerStates } from '../../haproxy/server-state-file.ts';
import { describe } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { UnprovenServers } from '../first-check/unproven-servers.ts';
import type { LogAndClock } from '../observe/log-and-clock.ts';

type ServerStatesParts = LogAndClock & {
  readonly path: string;
  readonly link: Pick<RuntimeLink, 'serverStates'>;
  readonly firstChecks: Pick<FirstChecks, 'begin' | 'currentRule'>;
  /** The servers that have not passed a check since HAProxy got them, by service. */
  readonly unproven: () => UnprovenServers['names'];
  /** Rejects with Fault `storage`. */
  readonly write: (path: string, text: string) => Promise<void>;
  readonly served: () => Rendered;
};

/** The delay of a write after a change, and after a write that failed, in ms. */
const keepAfterMs = { first: 30, again: 1000 };
/** Questions take at most a twentieth of the worker's time: with 10,000 servers it answers in some 30 ms. */
const readPace = { leastMs: 50, times: 20 };

/**
 * Gives each new worker the health of the servers that the former worker knew: after a reload of pointsman or of another program, and
 * after a restart of HAProxy. HAProxy reads it from a file.
 */
export class ServerStates {
  readonly #parts: ServerStatesParts;
  #written: string | undefined;
  /** Whether the last attempt to write failed, which is logged once. */
  #unsaved = false;
  #newcomers: readonly Newcomer[] = [];
  /** The servers that HAProxy's checks have found down. Empty without reports of changes: it would get too old. */
  #down: RunningState['servers'] = new Map();
  /** Whether HAProxy's output reports changes. */
  #isReported = false;
  /** Whether the file is for the worker of a reload that is under way. */
  #handed = false;
  #keeping: NodeJS.Timeout | undefined;
  #reading: NodeJS.Timeout | undefined;
  #waitMs = readPace.leastMs;
  #closed = false;

  constructor(parts: ServerStatesParts) {
    this.#parts = parts;
  }

  /** The servers' health, from the worker that serves. Empty when the worker does not answer: a reload goes on without it. */
  async read(): Promise<RunningState['servers']> {
    try {
      return await this.#parts.link.serverStates();
    } catch (error) {
      const reason = describe(error);
      this.#parts.logger.warn(
        { event: 'server-states-unknown', reason },
        'after this reload, servers that are down count as up until a check fails',
      );
      return new Map();
    }
  }

  /** To be called before HAProxy loads `loaded`. Rejects with Fault `storage`. */
  async hand(served: Rendered, loaded: Rendered, states: RunningState['servers']): Promise<void> {
    const { firstChecks } = this.#parts;
    this.#handed = true;
    this.#newcomers = newcomersOf(served, loaded, firstChecks.currentRule);
    await this.#write(formatServerStates(loaded, states, this.#newcomers));
  }

  /** To be called before HAProxy is started again with `loaded`. Never rejects. */
  async handAgain(loaded: Rendered): Promise<void> {
    this.#handed = true;
    await this.#write(this.#textFor(loaded)).catch((error: unknown) => this.#notSaved(error));
  }

  /** To be called after HAProxy loaded the configuration. */
  loaded(): void {
    this.#parts.firstChecks.begin(this.#newcomers);
  }

  /** To be called after each attempt to load. From now on the file follows the health of the servers again. */
  settled(): void {
    this.#handed = false;
    this.keepSoon();
  }

  /** Empties the file, because its states are stale. Never rejects. */
  async forget(): Promise<void> {
    this.#handed = false;
    this.#down = new Map();
    await this.#write(noServerStates).catch((error: unknown) => this.#notSaved(error));
  }

  /** HAProxy's output reports a change of a server's health, or is read from now on: the worker is asked soon. */
  changed(): void {
    this.#isReported = true;
    if (this.#closed) return;
    this.#reading ??= setTimeout(() => void this.#read(), this.#waitMs);
  }

  /** The states that the worker has. */
  found(states: RunningState['servers']): void {
    if (!this.#isReported) return;
    this.#down = filtered(states, (_service, _id, { up, disabled }) => !up && !disabled);
    this.keepSoon();
  }
  raised(service: ServiceName, id: InstanceId): void {
    const servers = this.#down.get(service);
    if (servers?.has(id) === true) {
      const others = new Map([...servers].filter(([other]) => other !== id));
      this.#down = new Map([...this.#down, [service, others]]);
    }
    this.keepSoon();
  }

  /** Writes the file soon, for a worker that another program makes. A burst of calls makes one write. */
  keepSoon(afterMs = keepAfterMs.first): void {
    if (this.#closed) return;
    this.#keeping ??= setTimeout(() => void this.#keep(), afterMs);
  }

  /** Empties the file: from now on it would get stale. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#keeping);
    clearTimeout(this.#reading);
    await this.forget();
  }

  async #keep(): Promise<void> {
    this.#keeping = undefined;
    // The worker of a reload reads the file.
    if (this.#handed) return;
    const served = this.#parts.served();
    // A server that left may come back healthy.
    this.#down = filtered(this.#down, (service, id) => served.backends.get(service)?.servers.has(id) === true);
    await this.#write(this.#textFor(served)).catch((error: unknown) => {
      this.#notSaved(error);
      this.keepSoon(keepAfterMs.again);
    });
  }

  async #read(): Promise<void> {
    const { link, logger, now } = this.#parts;
    this.#reading = undefined;
    const began = now();
    try {
      this.found(await link.serverStates());
    } catch (error) {
      // After the next connection to HAProxy the balancer reads the states, too.
      logger.debug({ event: 'server-states-unknown', reason: describe(error) }, 'pointsman asks again later');
    }
    this.#waitMs = Math.max(readPace.leastMs, (now() - began) * readPace.times);
  }

  #textFor(loaded: Rendered): string {
    const unproven: Newcomer[] = [];
    for (const [service, ids] of this.#parts.unproven()) {
      for (const id of ids) {
        const line = loaded.backends.get(service)?.servers.get(id);
        if (line !== undefined && isChecked(line) && this.#down.get(service)?.has(id) !== true)
          unproven.push({ service, id, line });
      }
    }
    return formatServerStates(loaded, this.#down, unproven);
  }

  #notSaved(error: unknown): void {
    const reason = describe(error);
    const level = this.#unsaved ? 'debug' : 'warn';
    this.#unsaved = true;
    this.#parts.logger[level]({ event: 'not-saved', what: 'server states', reason }, reason);
  }

  async #write(text: string): Promise<void> {
    if (text === this.#written) return;
    this.#written = undefined;
    await this.#parts.write(this.#parts.path, text);
    this.#written = text;
    this.#unsaved = false;
  }
}

function filtered(
  states: RunningState['servers'],
  keeps: (service: ServiceName, id: InstanceId, state: RunningServer) => boolean,
): RunningState['servers'] {
  const kept = new Map<string, ReadonlyMap<string, RunningServer>>();
  for (const [service, servers] of states) {
    const some = [...servers].filter(([id, state]) => keeps(service as ServiceName, id as InstanceId, state));
    if (some.length > 0) kept.set(service, new Map(some));
  }
  return kept;
}
