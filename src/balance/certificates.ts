import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { watchFolders } from '../files/folder-watch.ts';
import { replaceFile } from '../files/replace-file.ts';
import type { RuntimeLink } from '../haproxy/runtime-link.ts';
import { type Certificate, parseCertificate } from '../model/certificate.ts';
import { describe, Fault } from '../model/fault.ts';
import type { BalanceMetrics } from './metrics.ts';

export type CertificatesParts = {
  /** The operator's folder: `name.pem` with certificate, chain and key, or `name.crt` beside `name.key`. */
  readonly folder: string;
  /** Where HAProxy reads them from; ours. */
  readonly own: string;
  readonly list: string;
  readonly metrics: BalanceMetrics;
  readonly logger: Logger;
  /** What is served has to be looked at anew. */
  readonly onChange: () => void;
};

/** What an operator sees of a certificate. */
export type CertificateStatus = {
  readonly name: string;
  readonly names: readonly string[];
  readonly notAfter: string;
};

const nameOf = /^([A-Za-z0-9_][A-Za-z0-9._-]{0,120})\.(pem|crt)$/;
// Somebody may mount a whole store; each is a look and a few commands.
const mostCertificates = 5000;
const rescanMs = 60_000;

/**
 * The certificates that HAProxy serves: those of a folder, followed while it runs. One that cannot be used changes nothing:
 * what stood under its name before goes on being served.
 */
export class Certificates {
  readonly #parts: CertificatesParts;
  /** By the path of our copy. */
  #wanted: ReadonlyMap<string, Certificate> = new Map();
  readonly #refused = new Map<string, string>();
  /** The worker that was given what, last. */
  #served: { readonly workerPid: number | undefined; readonly wanted: ReadonlyMap<string, Certificate> } | undefined;
  #reading: Promise<void> = Promise.resolve();
  #endWatch: (() => Promise<void>) | undefined;
  #rescan: NodeJS.Timeout | undefined;

  constructor(parts: CertificatesParts) {
    this.#parts = parts;
  }

  /** Reads the folder and writes what HAProxy starts on. Rejects with a Fault when the folder cannot be read. */
  async prepare(): Promise<void> {
    const { own, folder } = this.#parts;
    await mkdir(own, { recursive: true, mode: 0o700 });
    try {
      await this.#read();
    } catch (cause) {
      throw new Fault('settings', `it cannot be read: ${describe(cause)}`, {
        where: `--certificates ${folder}`,
        cause,
      });
    }
  }

  /** Follows the folder from now on. */
  watch(): void {
    const { folder, logger } = this.#parts;
    const look = () => {
      this.#reading = this.#reading
        .then(() => this.#read())
        .then((changed) => {
          if (changed) this.#parts.onChange();
        })
        .catch((error: unknown) =>
          logger.error({ event: 'certificates-unread', reason: describe(error) }, 'the certificates stay as they were'),
        );
    };
    this.#endWatch = watchFolders({
      folders: [folder],
      onChange: look,
      onError: (error) => logger.warn({ event: 'certificates-watch', reason: describe(error) }, 'not watched'),
    });
    this.#rescan = setInterval(look, rescanMs);
  }

  /** Has this worker serve what is wanted. Rejects with Fault `haproxy-runtime` when it does not answer. */
  async serve(link: RuntimeLink): Promise<void> {
    const wanted = this.#wanted;
    if (this.#served?.workerPid === link.workerPid && this.#served?.wanted === wanted) return;
    const { list, logger } = this.#parts;
    for (const change of await link.serveCertificates(list, wanted)) {
      const name = basename(change.file, '.pem');
      if (change.kind === 'refused') {
        logger.error({ event: 'certificate-refused', name, reason: change.reason }, change.reason);
      } else logger.info({ event: `certificate-${change.kind}`, name }, `certificate ${name} ${change.kind}`);
    }
    this.#served = { workerPid: link.workerPid, wanted };
  }

  status(): readonly CertificateStatus[] {
    return [...this.#wanted].map(([file, { names, notAfter }]) => ({
      name: basename(file, '.pem'),
      names,
      notAfter: new Date(notAfter).toISOString(),
    }));
  }

  async close(): Promise<void> {
    clearInterval(this.#rescan);
    await this.#endWatch?.();
    await this.#reading;
  }

  /** Whether something is different now. */
  async #read(): Promise<boolean> {
    const { folder, own, list, metrics, logger } = this.#parts;
    const before = this.#wanted;
    const found = new Map<string, Certificate>();
    const refused = new Map<string, string>();
    const names = (await readdir(folder)).filter((name) => nameOf.test(name)).sort();
    for (const name of names.slice(0, mostCertificates)) {
      const file = join(own, `${name.replace(nameOf, '$1')}.pem`);
      const parsed = parseCertificate(await this.#textOf(name));
      if (parsed.ok) {
        const known = before.get(file);
        found.set(file, known?.pem === parsed.value.pem ? known : parsed.value);
        continue;
      }
      refused.set(name, parsed.reason);
      const last = before.get(file);
      if (last !== undefined) found.set(file, last);
      if (this.#refused.get(name) !== parsed.reason) {
        const event = { event: 'certificate-refused', name, reason: parsed.reason, lastGoodServes: last !== undefined };
        logger.error(event, `${join(folder, name)}: ${parsed.reason}`);
      }
    }
    this.#refused.clear();
    for (const [name, reason] of refused) this.#refused.set(name, reason);
    metrics.certificatesRefused.set(refused.size);
    const changed = found.size !== before.size || [...found].some(([file, one]) => before.get(file) !== one);
    if (!changed && this.#served !== undefined) return false;
    for (const [file, one] of found) if (before.get(file) !== one) await replaceFile(file, one.pem, { mode: 0o600 });
    await replaceFile(list, [...found.keys()].map((file) => `${file}\n`).join(''), { mode: 0o600 });
    for (const file of before.keys()) if (!found.has(file)) await unlink(file).catch(() => undefined);
    this.#wanted = found;
    metrics.certificateExpiry.reset();
    for (const [file, { notAfter }] of found) {
      metrics.certificateExpiry.set({ certificate: basename(file, '.pem') }, notAfter / 1000);
    }
    return changed;
  }

  async #textOf(name: string): Promise<string> {
    const { folder } = this.#parts;
    const text = await readFile(join(folder, name), 'utf8');
    if (!name.endsWith('.crt')) return text;
    return `${text}\n${await readFile(join(folder, name.replace(/\.crt$/, '.key')), 'utf8').catch(() => '')}`;
  }
}
