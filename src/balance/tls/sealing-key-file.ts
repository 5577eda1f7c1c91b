import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import { openToOthers } from '../../fs/open-to-others.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { parseSealingKeys, type SealingKeys } from '../../model/acme/sealing.ts';
import { describe, Fault } from '../../model/fault.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';

export type SealingKeyFileParts = {
  /** Undefined where the balancer was started without one. */
  readonly file: string | undefined;
  readonly logger: Logger;
  /** The keys changed, or why there are none. */
  readonly onChange: () => void;
};

const rescanMs = 60_000;

/** Reads the file. Rejects with a Fault when it cannot be used. */
export async function openSealingKeys(parts: SealingKeyFileParts): Promise<SealingKeyFile> {
  const opened = new SealingKeyFile(parts);
  await opened.prepare();
  const { keys, problem } = opened;
  if (parts.file === undefined || keys !== undefined) return opened;
  throw new Fault('settings', problem ?? 'it has no keys', { where: `--sealing-keys ${parts.file}` });
}

/** The keys that private keys in the registry are sealed with, read again when the file changes. A file that cannot be used changes nothing. */
export class SealingKeyFile {
  readonly #parts: SealingKeyFileParts;
  readonly #reads = new SerialQueue();
  #text: string | undefined;
  #keys: SealingKeys | undefined;
  #problem: string | undefined;
  readonly #warned = new OncePerReason();
  #watch: LinkedWatch | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(parts: SealingKeyFileParts) {
    this.#parts = parts;
    if (parts.file === undefined) this.#problem = 'this balancer has no keys to open it: start it with --sealing-keys';
  }

  /** The last good keys of the file. */
  get keys(): SealingKeys | undefined {
    return this.#keys;
  }

  /** Why the file cannot be used; undefined when it can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  prepare(): Promise<void> {
    return this.#reads.run(() => this.#read());
  }

  watch(): void {
    const { file, logger, onChange } = this.#parts;
    if (file === undefined) return;
    const look = () =>
      void this.#reads.run(async () => {
        const [keys, problem] = [this.#keys, this.#problem];
        await this.#watch?.follow([file]);
        await this.#read();
        if (this.#keys !== keys || this.#problem !== problem) onChange();
      });
    const onError = (error: unknown) =>
      logger.warn(
        { event: 'sealing-keys-watch', reason: describe(error) },
        'pointsman does not see changes of the file',
      );
    this.#watch = new LinkedWatch({ folder: dirname(file), onChange: look, onError });
    // A watch may fail, and some file systems tell nothing.
    this.#rescan = setInterval(look, rescanMs);
    look();
  }

  async #read(): Promise<void> {
    const { file, logger } = this.#parts;
    if (file === undefined) return;
    const doubt = await openToOthers(file);
    if (this.#warned.isNew(file, doubt)) {
      logger.warn({ event: 'sealing-keys-open', reason: doubt }, `--sealing-keys ${file}: ${doubt}`);
    }
    const text = await readFile(file, 'utf8').catch((error: unknown) => error);
    if (text === this.#text && this.#problem === undefined) return;
    const parsed =
      typeof text === 'string'
        ? parseSealingKeys(text)
        : { ok: false as const, reason: `it cannot be read: ${describe(text)}` };
    if (parsed.ok) {
      if (this.#keys !== undefined) {
        logger.info({ event: 'sealing-keys-changed', count: parsed.value.length }, `${file} was read again`);
      }
      // The same text leaves the same value: those who hold it compare.
      if (text !== this.#text) this.#keys = parsed.value;
      this.#text = typeof text === 'string' ? text : undefined;
      this.#problem = undefined;
      return;
    }
    if (parsed.reason === this.#problem) return;
    this.#problem = parsed.reason;
    // At the start, pointsman ends with this reason as its error.
    if (this.#keys === undefined) return;
    const about = { event: 'sealing-keys-unusable', reason: parsed.reason };
    logger.error(about, `the keys of before stay in use: ${file}: ${parsed.reason}`);
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    await this.#watch?.close();
    await this.#reads.idle();
  }
}
