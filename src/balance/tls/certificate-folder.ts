import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { exists } from '../../fs/exists.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { type Certificate, parseCertificate } from '../../model/certificate.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';

export type CertificateFolderParts = {
  /** The operator's folder: `name.pem` with certificate, chain and key, or `name.crt` next to `name.key`. */
  readonly folder: string;
  /** The folder of the copies that HAProxy reads. */
  readonly own: string;
  readonly list: string;
  readonly logger: Logger;
};

type FolderChange = {
  /** Other certificates are wanted, or other files are refused. */
  readonly changed: boolean;
  /** The certificates and keys of the folder. */
  readonly sources: readonly string[];
  /** By file, the text of a copy that an earlier run left: the worker may have loaded it. */
  readonly earlier: ReadonlyMap<string, string>;
};

const nameOf = /^([A-Za-z0-9_][A-Za-z0-9._-]{0,120})\.(pem|crt)$/;
// Each certificate takes a read and a few commands, and somebody may mount a whole store.
const mostCertificates = 5000;

/** The certificates of the operator's folder, and their copies for HAProxy. A file that cannot be used leaves its copy as it was. */
export class CertificateFolder {
  readonly #parts: CertificateFolderParts;
  readonly #writes = new SerialQueue();
  #isRead = false;
  /** By the path of the copy. */
  wanted: ReadonlyMap<string, Certificate> = new Map();
  /** By the name of a file of the operator, why it cannot be used. */
  refused: ReadonlyMap<string, string> = new Map();

  constructor(parts: CertificateFolderParts) {
    this.#parts = parts;
  }
  async prepare(): Promise<void> {
    await makeFolder(this.#parts.own, 0o700);
  }

  /** Reads the folder, and writes the copies of the files that changed. */
  async read(): Promise<FolderChange> {
    const { folder } = this.#parts;
    const before = this.wanted;
    const names = (await readdir(folder)).filter((name) => nameOf.test(name)).sort();
    const { found, refused } = await this.#parse(names.slice(0, mostCertificates));
    const sameRefused = refused.size === this.refused.size && [...refused].every(([n, r]) => this.refused.get(n) === r);
    this.refused = refused;
    const sources = names.flatMap((name) => [join(folder, name), join(folder, name.replace(/\.crt$/, '.key'))]);
    const fresh = [...found].filter(([file, one]) => before.get(file) !== one).map(([file]) => file);
    const changed = found.size !== before.size || fresh.length > 0;
    const earlier = new Map<string, string>();
    if (!changed && this.#isRead) return { changed: !sameRefused, sources, earlier };
    for (const file of before.size === 0 ? fresh : []) {
      const text = await readFile(file, 'utf8').catch(() => undefined);
      if (text !== undefined) earlier.set(file, text);
    }
    await this.#writes.run(async () => {
      await this.#write(found, new Set(fresh));
      this.wanted = found;
    });
    this.#isRead = true;
    for (const file of before.keys()) if (!found.has(file)) await unlink(file).catch(() => undefined);
    return { changed: changed || !sameRefused, sources, earlier };
  }

  async #parse(names: readonly string[]) {
    const { folder, own, logger } = this.#parts;
    const found = new Map<string, Certificate>();
    const refused = new Map<string, string>();
    for (const name of names) {
      const file = join(own, `${name.replace(nameOf, '$1')}.pem`);
      const last = this.wanted.get(file);
      const parsed = parseCertificate(await this.#textOf(name));
      if (parsed.ok) {
        found.set(file, last?.pem === parsed.value.pem ? last : parsed.value);
        continue;
      }
      const { reason } = parsed;
      refused.set(name, reason);
      if (last !== undefined) found.set(file, last);
      if (this.refused.get(name) === reason) continue;
      const event = { event: 'certificate-refused', name, reason, lastGoodServes: last !== undefined };
      logger.error(event, `${join(folder, name)}: ${reason}`);
    }
    return { found, refused };
  }

  async #textOf(name: string): Promise<string> {
    const { folder } = this.#parts;
    const text = await readFile(join(folder, name), 'utf8');
    if (!name.endsWith('.crt')) return text;
    return `${text}\n${await readFile(join(folder, name.replace(/\.crt$/, '.key')), 'utf8').catch(() => '')}`;
  }

  /** Writes these copies again, because another program wrote to them. */
  rewrite(files: ReadonlySet<string>): Promise<void> {
    return this.#writes.run(() => this.#write(this.wanted, files));
  }

  /** Writes the copies again that somebody deleted, and their list. Returns their paths. Rejects with Fault `storage`. */
  restore(): Promise<readonly string[]> {
    return this.#writes.run(async () => {
      const { list } = this.#parts;
      const missing: string[] = [];
      for (const file of [list, ...this.wanted.keys()]) if (!(await exists(file))) missing.push(file);
      if (missing.length === 0) return [];
      await this.prepare();
      await this.#write(this.wanted, new Set(missing));
      return missing;
    });
  }

  /** Writes the copies that are among `files`, and the list of all. */
  async #write(all: ReadonlyMap<string, Certificate>, files: ReadonlySet<string>): Promise<void> {
    for (const [file, { pem }] of all) if (files.has(file)) await replaceFile(file, pem, { mode: 0o600 });
    const lines = [...all.keys()].map((file) => `${file}\n`);
    await replaceFile(this.#parts.list, lines.join(''), { mode: 0o600 });
  }
}
