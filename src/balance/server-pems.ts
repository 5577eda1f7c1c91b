import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import { watchFolders } from '../files/folder-watch.ts';
import type { RuntimeLink } from '../haproxy/runtime-link.ts';
import { describe } from '../model/fault.ts';

export type ServerPemsParts = {
  /** Where the files lie that policies name for TLS to servers. */
  readonly folder: string;
  readonly logger: Logger;
  /** What HAProxy uses has to be looked at anew. */
  readonly onChange: () => void;
  /** HAProxy has to read this file by itself. */
  readonly onReload: (file: string) => void;
};

const rescanMs = 60_000;

/** The PEM files for TLS to servers, followed while HAProxy runs. One that cannot be used changes nothing. */
export class ServerPems {
  readonly #parts: ServerPemsParts;
  /** A file may say something else than it did. */
  #due = true;
  #workerPid: number | undefined;
  /** The worker that was given authorities while it ran. */
  #gaveAuthorities: number | undefined;
  /** What was said of a file that is not in order, as a hash: no reload and no line of the log for the same again. */
  readonly #told = new Map<string, string>();
  #endWatch: (() => Promise<void>) | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(parts: ServerPemsParts) {
    this.#parts = parts;
  }

  /** Follows the folder from now on. */
  watch(): void {
    const { folder, logger, onChange } = this.#parts;
    this.#endWatch = watchFolders({
      folders: [folder],
      onChange: () => {
        this.#due = true;
        onChange();
      },
      onError: (error) => logger.warn({ event: 'server-tls-watch', reason: describe(error) }, 'not watched'),
    });
    // The balancer looks by itself from time to time.
    this.#rescan = setInterval(() => (this.#due = true), rescanMs);
  }

  /** Has this worker use the files as they are. Rejects with Fault `haproxy-runtime` when it does not answer. */
  async serve(link: RuntimeLink): Promise<void> {
    if (!this.#due && this.#workerPid === link.workerPid) return;
    const { folder, logger, onReload } = this.#parts;
    this.#due = false;
    this.#workerPid = undefined;
    const { workerPid } = link;
    const read = (file: string) => readFile(file, 'utf8').catch(() => undefined);
    const changes = await link.renewServerPems(folder, read, workerPid !== this.#gaveAuthorities);
    this.#workerPid = workerPid;
    for (const file of this.#told.keys()) if (!changes.some((change) => change.file === file)) this.#told.delete(file);
    for (const change of changes) {
      const { file, kind } = change;
      if (kind === 'renewed' && change.what === 'ca-file') this.#gaveAuthorities = workerPid;
      const what = kind === 'renewed' ? undefined : hash('sha256', kind === 'refused' ? change.reason : change.pem);
      const known = this.#told.get(file);
      if (what === undefined) this.#told.delete(file);
      else this.#told.set(file, what);
      if (what !== undefined && what === known) continue;
      const name = basename(file);
      if (kind === 'renewed') logger.info({ event: 'server-tls-renewed', name }, `${name} is used as it is now`);
      else if (kind === 'reload') onReload(file);
      else logger.error({ event: 'server-tls-refused', name, reason: change.reason }, `${file}: ${change.reason}`);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    await this.#endWatch?.();
  }
}
