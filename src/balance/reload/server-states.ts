import type { Logger } from 'pino';
import { isChecked, type Newcomer, newcomersOf } from '../../haproxy/newcomers.ts';
import type { RunningServer, RunningState } from '../../haproxy/running-state.ts';
import type { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { formatServerStates, noServerStates } from '../../haproxy/server-state-file.ts';
import { describe } from '../../model/fault.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { FirstChecks } from '../first-check/first-checks.ts';
import type { UnprovenServers } from '../first-check/unproven-servers.ts';

type ServerStatesParts = {
  readonly path: string;
  readonly link: Pick<RuntimeLink, 'serverStates'>;
  readonly firstChecks: Pick<FirstChecks, 'begin' | 'currentRule'>;
  /** The servers that have not passed a check since HAProxy got them, by service. */
  readonly unproven: () => UnprovenServers['names'];
  /** Rejects with Fault `storage`. */
  readonly write: (path: string, text: string) => Promise<void>;
  /** What HAProxy serves. */
  readonly served: () => Rendered;
  readonly logger: Logger;
  /** Monotonic, in ms. */
  readonly now: () => number;
};

/** How soon the file follows a change, and how soon it is written again that could not be written, in ms. */
const keepAfterMs = { first: 30, again: 1000 };
/** The worker is asked at most for so much of the time: with 10,000 servers it takes some 30 ms to answer. */
const readPace = { leastMs: 50, times: 20 };

/**
 * Has each worker begin with what the one before knew of the servers' health, whoever makes it: a reload of ours, somebody else's, or
 * a start after HAProxy ended.
 */
export class ServerStates {
  readonly #parts: ServerStatesParts;
  #written: string | undefined;
  /** Whether the last attempt to write failed, which is logged once. */
  #unsaved = false;
  #newcomers: readonly Newcomer[] = [];
  /** The servers that HAProxy's checks have found down. Empty where nobody tells of changes, so that what is known gets too old. */
  #down: RunningState['servers'] = new Map();
  /** Whether HAProxy's output tells of changes. */
  #isTold = false;
  /** Whether the file has what the worker of a reload is to begin with. */
  #handed = false;
  #keeping: NodeJS.Timeout | undefined;
  #reading: NodeJS.Timeout | undefined;
  #waitMs = readPace.leastMs;
  #closed = false;

  constructor(parts: ServerStatesParts) {
    this.#parts = parts;
  }

  /** What the worker that serves knows. A worker that cannot be asked keeps nobody from reloading. */
  async read(): Promise<RunningState['servers']> {
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
  async hand(served: Rendered, loaded: Rendered, states: RunningState['servers']): Promise<void> {
    const { firstChecks } = this.#parts;
    this.#handed = true;
    this.#newcomers = newcomersOf(served, loaded, firstChecks.currentRule);
    await this.#write(formatServerStates(loaded, states, this.#newcomers));
  }

  /** Before HAProxy, which ended, is started again on `loaded`. Never rejects. */
  async handAgain(loaded: Rendered): Promise<void> {
    this.#handed = true;
    await this.#write(this.#textFor(loaded)).catch((error: unknown) => this.#notSaved(error));
  }

  /** HAProxy has loaded what was handed. */
  loaded(): void {
    this.#parts.firstChecks.begin(this.#newcomers);
  }

  /** HAProxy has loaded what was handed, or has not: from now on the file follows what is known. */
  settled(): void {
    this.#handed = false;
    this.keepSoon();
  }

  /** The states in the file are stale: whoever has HAProxy load the configuration next must not get them. Never rejects. */
  async forget(): Promise<void> {
    this.#handed = false;
    this.#down = new Map();
    await this.#write(noServerStates).catch((error: unknown) => this.#notSaved(error));
  }

  /** HAProxy says that the health of a server changed, or is heard from now on: the worker is asked soon. */
  changed(): void {
    this.#isTold = true;
    if (this.#closed) return;
    this.#reading ??= setTimeout(() => void this.#read(), this.#waitMs);
  }

  /** The worker that serves says so. */
  found(states: RunningState['servers']): void {
    if (!this.#isTold) return;
    this.#down = downAmong(states);
    this.keepSoon();
  }

  /** This server gets requests by now. */
  raised(service: ServiceName, id: InstanceId): void {
    const servers = this.#down.get(service);
    if (servers?.has(id) === true) {
      const others = new Map([...servers].filter(([other]) => other !== id));
      this.#down = new Map([...this.#down, [service, others]]);
    }
    this.keepSoon();
  }

  /** Has the file say what is known, for a worker that somebody else makes. A burst is written once. */
  keepSoon(afterMs = keepAfterMs.first): void {
    if (this.#closed) return;
    this.#keeping ??= setTimeout(() => void this.#keep(), afterMs);
  }

  /** From now on nobody knows what HAProxy's checks find. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#keeping);
    clearTimeout(this.#reading);
    await this.forget();
  }

  async #keep(): Promise<void> {
    this.#keeping = undefined;
    // A worker that is being made reads what was handed.
    if (this.#handed) return;
    const served = this.#parts.served();
    // A server that left may come back well.
    this.#down = within(this.#down, served);
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
      // Whoever speaks with HAProxy again looks at its servers.
      logger.debug({ event: 'server-states-unknown', reason: describe(error) }, 'asked again later');
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

/** The servers that a check found down. */
function downAmong(states: RunningState['servers']): RunningState['servers'] {
  return filtered(states, (_service, _id, { up, disabled }) => !up && !disabled);
}

/** Those that are among the servers of `served`. */
function within(states: RunningState['servers'], { backends }: Rendered): RunningState['servers'] {
  return filtered(states, (service, id) => backends.get(service)?.servers.has(id) === true);
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
