import { generateKeyPairSync } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { exists } from '../../fs/exists.ts';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { serveMap } from '../../haproxy/map-store.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe } from '../../model/fault.ts';
import { keySlots } from '../../render/key-slots.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import { JwksFollowing } from './jwks-following.ts';
import { KeySlots } from './key-slots.ts';
import {
  addressesIn,
  mapEntries,
  noSecrets,
  publicKeys,
  readSecrets,
  type Secrets as SecretFiles,
  withFetchedKeys,
} from './secret-folder.ts';

export type SecretsParts = {
  /** The operator's folder: files of users and of keys. */
  readonly folder: string;
  /** The map that HAProxy verifies with, and the folder of its public keys. */
  readonly map: string;
  readonly keys: string;
  /** The folder of the last keys that were fetched. */
  readonly kept: string;
  readonly logger: Logger;
  /** The files that policies name, each with a service that names it. */
  readonly named: () => ReadonlyMap<string, string>;
  /** The files changed: call `serve`. */
  readonly onChange: () => void;
  /** HAProxy has to load this file itself. */
  readonly onReload: (file: string) => void;
};

const rescanMs = 60_000;
const missing = 'no such file has users or keys';
/** Stands for the process id of a worker that is starting, and may have read a file already. */
const firstWorker = 0;

/** The files of users and keys: pointsman follows a folder, and gives each change to the worker. A bad file changes nothing. */
export class Secrets {
  readonly #parts: SecretsParts;
  readonly #slots: KeySlots;
  readonly #reads = new SerialQueue();
  readonly #reported = new OncePerReason();
  /** By file, the worker that is to be replaced because of it. */
  readonly #asked = new OncePerReason();
  readonly #following: JwksFollowing;
  /** The files as they are. */
  #files: SecretFiles = noSecrets;
  /** The files with the keys of each address instead of the address. */
  #secrets: SecretFiles = noSecrets;
  #entries: ReadonlyMap<string, string> = new Map();
  /** The files that the worker verifies with. */
  #inUse: ReadonlySet<string> = new Set();
  #keysWithoutRoom = 0;
  /** By file of a key, the worker that has loaded another key from it. */
  readonly #replaced = new Map<string, number>();
  #workerPid: number | undefined;
  #prepared = false;
  #watch: LinkedWatch | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(parts: SecretsParts) {
    this.#parts = parts;
    this.#slots = new KeySlots(parts.keys);
    const { folder, logger, kept } = parts;
    this.#following = new JwksFollowing({ folder, kept, logger, onChange: () => this.#look() });
  }

  /** Makes the files that each configuration names. `workerPid` is the worker that runs already. Rejects with Fault `storage`. */
  async prepare(workerPid: number | undefined): Promise<void> {
    this.#workerPid = workerPid;
    await prepareSecretFiles(this.#parts.map, this.#parts.keys, this.#slots);
    await this.#read();
    this.#inUse = new Set(this.#secrets.found.keys());
    this.#prepared = true;
  }

  watch(): void {
    const { folder, logger } = this.#parts;
    const look = () => this.#look();
    this.#watch = new LinkedWatch({
      folder,
      onChange: look,
      onError: (error) => logger.warn({ event: 'secrets-watch', reason: describe(error) }, 'not watched'),
    });
    this.#rescan = setInterval(look, rescanMs);
    look();
  }

  #look(): void {
    const { logger, onChange } = this.#parts;
    void this.#reads
      .run(() => this.#read())
      // Before that, HAProxy may not have started.
      .then(() => this.#watch && onChange())
      .catch((error: unknown) =>
        logger.error({ event: 'secrets-unread', reason: describe(error) }, 'the previous secrets stay in use'),
      );
  }

  async #read(): Promise<void> {
    const { folder, map } = this.#parts;
    this.#files = await readSecrets(folder, this.#files);
    const { found, refused } = this.#files;
    await this.#following.follow(addressesIn(this.#files));
    this.#secrets = withFetchedKeys(this.#files, (name) => this.#following.keysOf(name));
    const placed = await this.#slots.place(publicKeys(this.#secrets));
    const worker = this.#workerPid ?? (this.#prepared ? firstWorker : undefined);
    if (worker !== undefined) for (const file of placed.written) this.#replaced.set(file, worker);
    this.#keysWithoutRoom = placed.without;
    const entries = mapEntries(this.#secrets, placed.files);
    if (textOf(entries) !== textOf(this.#entries)) await replaceFile(map, textOf(entries), { mode: 0o640 });
    this.#entries = entries;
    await this.#watch?.follow([...found.keys(), ...refused.keys()].map((name) => join(folder, name)));
  }

  /**
   * Has this worker verify with the present secrets. Returns why some requests are refused; undefined when all files are there.
   * Rejects with Fault `haproxy-runtime` when the worker does not answer.
   */
  async serve(worker: WorkerConnection): Promise<string | undefined> {
    const { workerPid } = worker;
    const { map, logger, onReload } = this.#parts;
    this.#workerPid = workerPid;
    for (const [file, pid] of this.#replaced) {
      if (pid === firstWorker) this.#replaced.set(file, workerPid);
      else if (pid !== workerPid) this.#replaced.delete(file);
    }
    // This worker would verify with the key that it has loaded from the file.
    const usable = new Map([...this.#entries].filter(([, value]) => !this.#replaced.has(value)));
    const files = new Set(this.#secrets.found.keys());
    const change = await serveMap(worker, map, usable);
    this.#inUse = files;
    if (change.added + change.changed + change.removed > 0) {
      logger.info({ event: 'secrets-changed', ...change }, 'HAProxy verifies with the present secrets');
    }
    for (const file of this.#replaced.keys()) if (this.#asked.isNew(file, `${workerPid}`)) onReload(file);
    return this.#reason();
  }

  /** Why requests are refused or a file is not used, and the number of other reasons. */
  #reason(): string | undefined {
    const { folder, logger, named } = this.#parts;
    const { found, refused } = this.#secrets;
    const reasons = new Map<string, string>();
    for (const [name, service] of named()) {
      if (!found.has(name) && !refused.has(name)) {
        reasons.set(name, `${missing}, so requests of ${service} are answered with 503`);
      }
    }
    for (const [name, reason] of refused) {
      const effect = found.has(name) ? 'its last good content counts' : 'requests that need it are answered with 503';
      reasons.set(name, `${reason}; ${effect}`);
    }
    if (this.#keysWithoutRoom > 0) {
      reasons.set(
        '',
        `the files have ${this.#keysWithoutRoom} more public keys than the ${keySlots} that HAProxy loads`,
      );
    }
    this.#reported.keepOnly(new Set(reasons.keys()));
    for (const [name, reason] of reasons) {
      if (this.#reported.isNew(name, reason)) {
        logger.error({ event: 'secret-refused', name, reason }, `${join(folder, name)}: ${reason}`);
      }
    }
    const [first] = reasons;
    if (first === undefined) return undefined;
    const more = reasons.size > 1 ? `; and ${reasons.size - 1} more` : '';
    return `${join(folder, first[0])}: ${first[1]}${more}`;
  }

  /** Why nobody is let in with this file; undefined: it is in use. */
  problemOf(name: string): string | undefined {
    const { found, refused } = this.#secrets;
    return found.has(name) ? undefined : `${join(this.#parts.folder, name)}: ${refused.get(name) ?? missing}`;
  }

  /** The same for the worker of now, which may not have the newest files yet. */
  problemInUse(name: string): string | undefined {
    return this.#inUse.has(name) ? undefined : (this.problemOf(name) ?? 'HAProxy does not have it yet');
  }

  /** Writes the files again that somebody deleted. Returns their paths. Rejects with Fault `storage`. */
  restore(): Promise<readonly string[]> {
    const { map } = this.#parts;
    return this.#reads.run(async () => {
      const restored = await this.#slots.restore();
      if (await exists(map)) return restored;
      await makeFolder(dirname(map), 0o755);
      await replaceFile(map, textOf(this.#entries), { mode: 0o640 });
      return [...restored, map];
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    this.#following.close();
    await this.#watch?.close();
    await this.#reads.idle();
  }
}

const textOf = (entries: ReadonlyMap<string, string>): string =>
  [...entries].map(([key, value]) => `${key} ${value}\n`).join('');

/** Makes the map and the files of keys that each configuration names. Rejects with Fault `storage`. */
export async function prepareSecretFiles(map: string, keys: string, slots = new KeySlots(keys)): Promise<void> {
  await makeFolder(keys, 0o750);
  await replaceFile(map, '', { mode: 0o640 });
  // The private key is dropped at once, so that it signs nothing.
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await slots.prepare(String(publicKey.export({ type: 'spki', format: 'pem' })));
}
