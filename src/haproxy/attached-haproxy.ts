import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { readVersion, type Validated, validateConfig } from './check.ts';
import { ForeignHaproxy, type Haproxy, type Processes } from './haproxy.ts';
import { readProcesses, reloadMaster } from './master.ts';

export type AttachedOptions = {
  /** A haproxy to check with; undefined when there is none here. */
  readonly executable: string | undefined;
  readonly masterSocket: string;
  readonly logger: Logger;
  /** Aborted when the caller does not wait any more. */
  readonly signal: AbortSignal;
  /** How long one that has a good file to start on is waited for, in ms. */
  readonly expectMs?: number;
};

const reloadMs = 30_000;
const answerMs = 2000;
// A master that loads a large file is silent for a second or two.
const goneMs = 10_000;
const appearMs = 100;
const remindMs = 30_000;
const defaultExpectMs = 30_000;

/**
 * HAProxy in master-worker mode that others run (another container, another unit), reached by the master's socket in a
 * shared folder. It is never started and never ended. Its pids are those of its own pid namespace: good for telling one
 * worker from another, and for nothing else.
 */
export class AttachedHaproxy extends ForeignHaproxy implements Haproxy {
  readonly #options: AttachedOptions;
  #differs: string | undefined;

  constructor(options: AttachedOptions) {
    super();
    this.#options = options;
  }

  get versionDiffers(): string | undefined {
    return this.#differs;
  }

  async validate(file: string, deadlineMs: number): Promise<Validated> {
    const { executable } = this.#options;
    if (executable === undefined || !(await this.#sameVersion(executable))) return { ok: true };
    return validateConfig(executable, file, deadlineMs);
  }

  async findRunning(expected: boolean): Promise<Processes | undefined> {
    if (!expected) return this.processes();
    return this.#appearance(performance.now() + (this.#options.expectMs ?? defaultExpectMs));
  }

  /** Waits for one to appear, for as long as it takes, and has it load the file on disk. */
  async start(): Promise<Processes> {
    const { masterSocket, signal } = this.#options;
    await this.#appearance(Number.POSITIVE_INFINITY);
    if (signal.aborted) {
      throw new Fault('haproxy-start', 'ended while waiting for HAProxy to appear', { where: masterSocket });
    }
    // It may have been there before the file was, with another one.
    return this.reload();
  }

  processes(): Promise<Processes | undefined> {
    return readProcesses(this.#options.masterSocket, answerMs);
  }

  async reload(): Promise<Processes> {
    const { masterSocket, executable } = this.#options;
    try {
      return await reloadMaster(masterSocket, reloadMs, (_, quietMs) => quietMs > goneMs);
    } catch (error) {
      const checked = executable !== undefined && this.#differs === undefined;
      if (checked || !(error instanceof Fault) || error.code !== 'haproxy-refused') throw error;
      throw new Fault('config-check', error.message, { where: masterSocket, hint: error.hint, cause: error });
    }
  }

  async #appearance(deadline: number): Promise<Processes | undefined> {
    const { masterSocket, logger, signal } = this.#options;
    let remind = performance.now();
    while (!signal.aborted) {
      const processes = await this.processes();
      if (processes?.workerPid !== undefined) return processes;
      if (performance.now() > deadline) return undefined;
      if (performance.now() >= remind) {
        logger.info({ event: 'haproxy-awaited', socket: masterSocket }, `waiting for HAProxy at ${masterSocket}`);
        remind += remindMs;
      }
      await pause(appearMs);
    }
    return undefined;
  }

  /** The check of another version may refuse what the running one takes, and the other way round. */
  async #sameVersion(executable: string): Promise<boolean> {
    const running = (await this.processes())?.version;
    if (running === undefined) return true;
    const ours = await readVersion(executable);
    const differs = ours === running ? undefined : `${running} is running, but ${executable} is ${ours}`;
    if (differs !== undefined && differs !== this.#differs) {
      this.#options.logger.warn(
        { event: 'haproxy-version-differs', running, ours },
        `${differs}: the check of a configuration can be wrong, so the reload decides`,
      );
    }
    this.#differs = differs;
    return differs === undefined;
  }
}
