import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { validateConfig } from './check.ts';
import { isAlive, signal } from './processes.ts';

export type MasterSocketOptions = {
  readonly executable: string;
  readonly configFile: string;
  readonly masterSocket: string;
  readonly logger: Logger;
  /** Aborted when pointsman is to end: no check goes on, and nothing is started any more. */
  readonly signal?: AbortSignal | undefined;
};

// HAProxy replaces its socket at a reload, and the path is then empty for a moment.
const missingMs = 1000;
const checkMs = 10_000;

/** Restores the socket of the master when somebody deleted it: the master makes it again at a reload. */
export class MasterSocket {
  readonly #options: MasterSocketOptions;
  #missingSince: number | undefined;

  constructor(options: MasterSocketOptions) {
    this.#options = options;
  }

  /** The master answers on its socket. */
  answers(): void {
    this.#missingSince = undefined;
  }

  /** The master with this pid does not answer: has it reload if its socket has been missing for a while. */
  async restore(pid: number): Promise<void> {
    const { masterSocket, logger, executable, configFile, signal: ending } = this.#options;
    const there = await stat(masterSocket).catch(() => undefined);
    if (there !== undefined || !isAlive(pid)) return;
    const now = performance.now();
    this.#missingSince ??= now;
    if (now - this.#missingSince < missingMs) return;
    // The reload takes a moment: the next attempt comes after it.
    this.#missingSince = undefined;
    // Somebody may have deleted the configuration as well: a reload then fails until it is written again.
    if (!(await validateConfig(executable, configFile, checkMs, ending)).ok) {
      this.#missingSince = now;
      return;
    }
    logger.warn(
      { event: 'master-socket-missing', pid, socket: masterSocket },
      'the socket of the HAProxy master was deleted: pointsman reloads HAProxy, which creates the socket again',
    );
    await mkdir(dirname(masterSocket), { recursive: true, mode: 0o700 }).catch(() => undefined);
    signal(pid, 'SIGUSR2');
  }
}
