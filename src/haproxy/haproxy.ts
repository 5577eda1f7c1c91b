import type { Validated } from './check.ts';

/** HAProxy's processes, as its master or its worker lists them. */
export type Processes = {
  /** Undefined where no master can be asked. */
  readonly masterPid: number | undefined;
  /** The one that serves; undefined when there is none at the moment. */
  readonly workerPid: number | undefined;
  /** Workers of earlier reloads that still finish their connections (HAProxy lists a bounded number). */
  readonly oldWorkers: number;
  /** Theirs, as far as a master lists them. */
  readonly oldWorkerPids: readonly number[];
  /** `2.6.12`, of the one that serves. */
  readonly version: string | undefined;
};

/** The HAProxy that a balancer keeps true, whoever runs it. */
export interface Haproxy {
  /**
   * Whether it would load this file, and could listen on what the file adds to what it listens on already. One that cannot
   * be asked says yes, and its reload then decides.
   */
  validate(file: string, deadlineMs: number): Promise<Validated>;
  /**
   * The processes that run already; undefined: none do. `expected` says that a good file is there to start on:
   * one that others start is then waited for.
   */
  findRunning(expected: boolean): Promise<Processes | undefined>;
  /**
   * Has it serve the file on disk, from nothing. Rejects with Fault `address-in-use` or `haproxy-start`, and as `reload`
   * where others have started it.
   */
  start(): Promise<Processes>;
  /** The processes that run now; undefined while none answers. */
  processes(): Promise<Processes | undefined>;
  /**
   * A hot reload of the file on disk. Rejects with Fault `haproxy-reload`, or `config-check` when it refuses a file that
   * nothing could check before; the old worker then still serves.
   */
  reload(): Promise<Processes>;
  /** Lets go of it. A managed one ends, after its open requests (at most `graceMs`). */
  stop(graceMs: number): Promise<void>;
  /** Lets go of it, and it goes on serving. */
  leave(): void;
  /** Whether it is read here what HAProxy prints, such as the health of its servers. */
  readonly printsHere: boolean;
  /** Whether this process started the one that runs. */
  readonly startedHere: boolean;
  /** How many files it may have open at most; undefined where that is not known here. */
  openFilesLimit(): Promise<number | undefined>;
  /** Ends a worker of an earlier reload with its connections; undefined where its pid means nothing here. */
  readonly endWorker: ((pid: number) => void) | undefined;
  /** Which versions differ, where another runs than the executable that is to be used is of; undefined while none is known. */
  readonly versionDiffers: string | undefined;
}

/** An HAProxy that others start and end, perhaps in another container: what its worker says of its open files has to do. */
export class ForeignHaproxy {
  readonly printsHere = false;
  readonly startedHere = false;
  readonly endWorker = undefined;

  async openFilesLimit(): Promise<undefined> {
    return undefined;
  }

  async stop(): Promise<void> {
    // It goes on, as after `leave`.
  }

  leave(): void {
    // It goes on anyway.
  }
}
