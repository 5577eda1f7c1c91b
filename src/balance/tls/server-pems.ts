import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { renewServerPems } from '../../haproxy/server-pem-store.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe } from '../../model/fault.ts';

export type ServerPemsParts = {
  /** The folder of the files that policies name for TLS to servers. */
  readonly folder: string;
  readonly logger: Logger;
  /** The files changed: call `serve`. */
  readonly onChange: () => void;
  /** HAProxy has to load this file itself. */
  readonly onReload: (file: string) => void;
};

const rescanMs = 60_000;

/** The PEM files for TLS to servers: pointsman follows them, and gives each change to the worker. A bad file changes nothing. */
export class ServerPems {
  readonly #parts: ServerPemsParts;
  /** A file may have changed. */
  #due = true;
  #workerPid: number | undefined;
  /** The worker that got authorities while it ran. */
  #gaveAuthorities: number | undefined;
  /** By file, why it was refused or the text that needs a reload: the same causes one line of the log, or one reload. */
  readonly #reported = new OncePerReason();
  /** The hash of each file at the last look: a worker that started later has read the file from disk. */
  readonly #seen = new Map<string, string>();
  /** By file, why it is not used. */
  readonly #refused = new Map<string, string>();
  #watch: LinkedWatch | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(parts: ServerPemsParts) {
    this.#parts = parts;
  }
  watch(): void {
    const { folder, logger, onChange } = this.#parts;
    const watch = new LinkedWatch({
      folder,
      onChange: () => {
        this.#due = true;
        void this.#follow(watch).then(onChange);
      },
      onError: (error) => logger.warn({ event: 'server-tls-watch', reason: describe(error) }, 'not watched'),
    });
    this.#watch = watch;
    // The balancer calls `serve` from time to time in any case.
    this.#rescan = setInterval(() => (this.#due = true), rescanMs);
  }

  async #follow(watch: LinkedWatch): Promise<void> {
    const { folder } = this.#parts;
    const names = await readdir(folder).catch(() => []);
    await watch.follow(names.map((name) => join(folder, name)));
  }

  /**
   * Has this worker use the files. Returns why one of them is not used; undefined when all are. Rejects with Fault `haproxy-runtime`
   * when the worker does not answer.
   */
  async serve(worker: WorkerConnection): Promise<string | undefined> {
    const { workerPid } = worker;
    if (!this.#due && this.#workerPid === workerPid) return this.#reason();
    const { folder, logger, onReload } = this.#parts;
    this.#due = false;
    this.#workerPid = undefined;
    const looked = new Map<string, string>();
    const changes = await renewServerPems(worker, {
      folder,
      read: (file) => readFile(file, 'utf8').catch(() => undefined),
      changed: (file, pem) => {
        const text = hash('sha256', pem);
        const known = this.#seen.get(file);
        looked.set(file, text);
        return known !== undefined && known !== text;
      },
      takesCertificates: workerPid !== this.#gaveAuthorities,
    });
    this.#workerPid = workerPid;
    this.#refused.clear();
    for (const [file, text] of looked) this.#seen.set(file, text);
    this.#reported.keepOnly(new Set(changes.map(({ file }) => file)));
    for (const change of changes) {
      const { file, kind } = change;
      if (kind === 'renewed' && change.what === 'ca-file') this.#gaveAuthorities = workerPid;
      if (kind === 'refused') this.#refused.set(file, change.reason);
      const reason = kind === 'renewed' ? undefined : hash('sha256', kind === 'refused' ? change.reason : change.pem);
      if (!this.#reported.isNew(file, reason) && kind !== 'renewed') continue;
      const name = basename(file);
      if (kind === 'renewed')
        logger.info({ event: 'server-tls-renewed', name }, `${name} is in use in its new version`);
      else if (kind === 'reload') onReload(file);
      else logger.error({ event: 'server-tls-refused', name, reason: change.reason }, `${file}: ${change.reason}`);
    }
    return this.#reason();
  }

  #reason(): string | undefined {
    const [first] = this.#refused;
    if (first === undefined) return undefined;
    const more = this.#refused.size > 1 ? `; and ${this.#refused.size - 1} more` : '';
    return `${first[0]}: ${first[1]}${more}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    await this.#watch?.close();
  }
}
