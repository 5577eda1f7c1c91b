import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { exists } from '../../fs/exists.ts';
import { LinkedWatch } from '../../fs/linked-watch.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { type CertificateChange, serveCertificates } from '../../haproxy/certificate-store.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { type Certificate, parseCertificate } from '../../model/certificate.ts';
import { describe, Fault } from '../../model/fault.ts';
import type { BalanceMetrics } from '../observe/metrics.ts';

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
  /** HAProxy has to read this file by itself. */
  readonly onReload: (file: string) => void;
  /** A worker served something else than it was given. */
  readonly onDrift: (differences: readonly string[]) => void;
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
  #served: { readonly workerPid: number; readonly wanted: ReadonlyMap<string, Certificate> } | undefined;
  /** The PEM text that workers have by now, by file: one that starts later has read it from disk. */
  readonly #given = new Map<string, string>();
  /** The PEM text that a reload was asked for, by file: the same is not asked for twice. */
  readonly #reloaded = new Map<string, string>();
  /** Why a worker does not serve a file, by file. */
  #unserved: ReadonlyMap<string, string> = new Map();
  /** Somebody else may have changed what the worker serves. */
  #doubted = false;
  #reading: Promise<void> = Promise.resolve();
  #writing = false;
  #restoring: Promise<unknown> = Promise.resolve();
  #watch: LinkedWatch | undefined;
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

  /** Writes those of HAProxy's copies again that somebody deleted, and their list. Gives their paths. Rejects with Fault `storage`. */
  restore(): Promise<readonly string[]> {
    // They are about to be there. If not, the next call finds it.
    if (this.#writing) return Promise.resolve([]);
    const restored = this.#restore();
    this.#restoring = restored.catch(() => undefined);
    return restored;
  }

  async #restore(): Promise<readonly string[]> {
    const { own, list } = this.#parts;
    const missing: string[] = [];
    for (const file of [list, ...this.#wanted.keys()]) if (!(await exists(file))) missing.push(file);
    if (missing.length === 0) return [];
    await mkdir(own, { recursive: true, mode: 0o700 });
    await this.#write(this.#wanted, new Set(missing));
    return missing;
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
    this.#watch = new LinkedWatch({
      folder,
      onChange: look,
      onError: (error) => logger.warn({ event: 'certificates-watch', reason: describe(error) }, 'not watched'),
    });
    this.#rescan = setInterval(() => {
      this.#doubted = true;
      look();
    }, rescanMs);
  }

  /**
   * Has this worker serve what is wanted. Gives why some of it is not served; undefined when all is. Rejects with Fault
   * `haproxy-runtime` when the worker does not answer, or has no list of certificates.
   */
  async serve(worker: WorkerConnection): Promise<string | undefined> {
    const wanted = this.#wanted;
    const { list, onDrift, onReload } = this.#parts;
    const { workerPid } = worker;
    const given = this.#served?.workerPid === workerPid && this.#served.wanted === wanted;
    if (given && !this.#doubted && this.#unserved.size === 0) return this.#reason();
    this.#doubted = false;
    const changed = new Set<string>();
    for (const [file, { pem }] of wanted) {
      const known = this.#given.get(file);
      if (known !== undefined && known !== pem) changed.add(file);
    }
    const changes = await serveCertificates(worker, { list, wanted, changed });
    const unserved = new Map<string, string>();
    for (const change of changes) {
      const reason = this.#tell(change);
      if (reason !== undefined) unserved.set(change.file, reason);
    }
    if (this.#served?.wanted === wanted && this.#unserved.size === 0 && changes.length > 0) {
      // A worker that somebody else's reload made has what somebody else wrote into our copies.
      await this.#write(wanted, new Set(changes.map(({ file }) => file)));
      onDrift(changes.map(({ file }) => `the certificate ${basename(file, '.pem')} is not as it was given`));
    }
    this.#given.clear();
    for (const [file, { pem }] of wanted) if (!unserved.has(file)) this.#given.set(file, pem);
    this.#unserved = unserved;
    this.#served = { workerPid, wanted };
    for (const change of changes) {
      if (change.kind === 'reload' && !unserved.has(change.file)) onReload(change.file);
    }
    return this.#reason();
  }

  /** Says what was done. Gives why the file is not served. */
  #tell(change: CertificateChange): string | undefined {
    const { logger } = this.#parts;
    const { file } = change;
    const name = basename(file, '.pem');
    const pem = this.#wanted.get(file)?.pem ?? '';
    const again = change.kind === 'reload' && this.#reloaded.get(file) === pem;
    if (change.kind === 'reload' && !again) {
      this.#reloaded.set(file, pem);
      logger.info(
        { event: 'certificate-reload', name },
        `certificate ${name} is too long for a command: HAProxy reloads`,
      );
      return undefined;
    }
    if (change.kind === 'refused' || change.kind === 'reload') {
      const reason = change.kind === 'refused' ? change.reason : 'HAProxy was reloaded for it and serves another one';
      const event = { event: 'certificate-refused', name, reason };
      if (this.#unserved.get(file) !== reason) logger.error(event, `${name}: ${reason}`);
      return reason;
    }
    logger.info({ event: `certificate-${change.kind}`, name }, `certificate ${name} ${change.kind}`);
    return undefined;
  }

  /** The first certificate that is not served as it should be, and how many others there are. */
  #reason(): string | undefined {
    const { folder } = this.#parts;
    const reasons = [
      ...[...this.#unserved].map(([file, reason]) => `${basename(file, '.pem')}: ${reason}`),
      ...[...this.#refused].map(([name, reason]) => `${join(folder, name)}: ${reason}`),
    ];
    const [first] = reasons;
    return reasons.length > 1 ? `${first}; and ${reasons.length - 1} more` : first;
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
    await this.#watch?.close();
    await this.#reading;
  }

  /** Whether something is different now. */
  async #read(): Promise<boolean> {
    const { folder, own, metrics, logger } = this.#parts;
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
    const sameRefused =
      refused.size === this.#refused.size && [...refused].every(([n, r]) => this.#refused.get(n) === r);
    this.#refused.clear();
    for (const [name, reason] of refused) this.#refused.set(name, reason);
    metrics.certificatesRefused.set(refused.size);
    const changed = found.size !== before.size || [...found].some(([file, one]) => before.get(file) !== one);
    await this.#watch?.follow(
      names.flatMap((name) => [join(folder, name), join(folder, name.replace(/\.crt$/, '.key'))]),
    );
    if (!changed && this.#served !== undefined) return !sameRefused;
    const fresh = [...found].filter(([file, one]) => before.get(file) !== one).map(([file]) => file);
    for (const file of before.size === 0 ? fresh : []) {
      // The first time, a worker from before may have what the file says until now.
      const there = await readFile(file, 'utf8').catch(() => undefined);
      if (there !== undefined) this.#given.set(file, there);
    }
    await this.#restoring;
    this.#writing = true;
    try {
      await this.#write(found, new Set(fresh));
      this.#wanted = found;
    } finally {
      this.#writing = false;
    }
    for (const file of before.keys()) if (!found.has(file)) await unlink(file).catch(() => undefined);
    metrics.certificateExpiry.reset();
    for (const [file, { notAfter }] of found) {
      metrics.certificateExpiry.set({ certificate: basename(file, '.pem') }, notAfter / 1000);
    }
    return changed || !sameRefused;
  }

  /** Writes these files, and the list of all, for HAProxy to start on. */
  async #write(all: ReadonlyMap<string, Certificate>, files: ReadonlySet<string>): Promise<void> {
    for (const [file, { pem }] of all) if (files.has(file)) await replaceFile(file, pem, { mode: 0o600 });
    const lines = [...all.keys()].map((file) => `${file}\n`);
    await replaceFile(this.#parts.list, lines.join(''), { mode: 0o600 });
  }

  async #textOf(name: string): Promise<string> {
    const { folder } = this.#parts;
    const text = await readFile(join(folder, name), 'utf8');
    if (!name.endsWith('.crt')) return text;
    return `${text}\n${await readFile(join(folder, name.replace(/\.crt$/, '.key')), 'utf8').catch(() => '')}`;
  }
}
