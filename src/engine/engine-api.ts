import { Fault } from '../model/fault.ts';
import type { Container, EngineEvent, ListedContainer } from './container.ts';

/**
 * The API of a container engine: Docker's, and podman's compatible one. `list`, `inspect` and `events` only read, and work through a
 * socket proxy that allows GET alone. Each rejects with Fault `engine` when the engine does not answer or refuses.
 */
export interface EngineApi {
  /** For messages: `unix:///var/run/docker.sock`. */
  readonly location: string;
  /** The containers that run, paused ones as well; with `all`, those too that do not run. */
  list(options?: { readonly all?: boolean }, signal?: AbortSignal): Promise<readonly ListedContainer[]>;
  /** A container by its id or name; undefined when there is none. */
  inspect(container: string, signal?: AbortSignal): Promise<Container | undefined>;
  /**
   * Follows the events of containers. `onOpen` is called when the engine sends events from now on. Resolves when `signal` aborts;
   * rejects when the stream ends in another way, and then events may be missing.
   */
  events(handlers: EventHandlers, signal: AbortSignal): Promise<void>;
  /**
   * The `kill` events that the engine still has from before `until`, oldest first. Docker keeps the last 256 events of all kinds since its
   * own start. Its deadline is short, since an agent waits for the answer before it announces anything.
   */
  pastKills(until: EngineTime, signal: AbortSignal): Promise<readonly EngineEvent[]>;
  /** Sends a signal, by its name: `TERM`. False when there is no such container, or it does not run. */
  kill(container: string, signalName: string, signal?: AbortSignal): Promise<boolean>;
  /**
   * Stops a container, with its own stop signal and time-out unless `graceMs` is given. Resolves when it does not run any more. It has no
   * deadline: a container may have any stop time-out.
   */
  stop(container: string, options?: { readonly graceMs?: number }, signal?: AbortSignal): Promise<StopAnswer>;
  /** Removes a container that does not run, and keeps its volumes. False when there is none. */
  remove(container: string, signal?: AbortSignal): Promise<boolean>;
}

/** `did-not-run`: it had ended before. `absent`: there is no such container. */
export type StopAnswer = 'stopped' | 'did-not-run' | 'absent';

/** The engine, or a proxy in front of it, answered that it does not do what it was asked for. */
export class EngineRefusal extends Fault {
  readonly status: number;

  constructor(status: number, what: string, detail: { where: string; hint: string | undefined }) {
    super('engine', what, detail);
    this.status = status;
  }

  /** Whether it did not begin what it was asked for. A 5xx or 409 may come after the signal to the container. */
  get beganNothing(): boolean {
    return this.status < 500 && this.status !== 409;
  }
}

export type EngineFacts = {
  /**
   * Whether the event `kill` tells that a container was asked to end, and with which signal: Docker's does. podman sends nothing before
   * the end, and only an inspection says `stopping`.
   */
  readonly announcesStops: boolean;
  /** A time that is not before the one at which the stream of events opened. */
  readonly openedAt: EngineTime;
};

/** A time by the engine's clock, in ms since 1970. */
export type EngineTime = number;

export type EventHandlers = {
  readonly onOpen: (facts: EngineFacts) => void;
  readonly onEvent: (event: EngineEvent) => void;
};
