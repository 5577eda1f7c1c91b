import { readdir, readFile, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { exists } from '../../fs/exists.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { type Certificate, parseCertificate } from '../../model/certificate.ts';
import { patternsOver } from '../../model/route.ts';
import { SerialQueue } from '../../waiting/serial-queue.ts';
import type { StoredCertificates, StoredRead } from './stored-certificates.ts';

export type CertificateFolderParts = {
  /** The operator's folder: `name.pem` with certificate, chain and key, or `name.crt` next to `name.key`. Undefined: there is none. */
  readonly folder: string | undefined;
  /** The certificates of the registry, by host. */
  readonly stored: StoredCertificates;
  /** The folder of the copies that HAProxy reads. */
  readonly own: string;
  readonly list: string;
  readonly logger: Logger;
};

type InFolder = {
  readonly found: ReadonlyMap<string, Certificate>;
  readonly refused: ReadonlyMap<string, string>;
  readonly sources: readonly string[];
  readonly names: ReadonlySet<string>;
};

type FolderChange = {
  /** Other certificates are wanted, or other files are refused. */
  readonly changed: boolean;
  /** The certificates and keys of the folder. */
  readonly sources: readonly string[];
  /** By file, the text of a copy that an earlier run left: the worker may have loaded it. */
  readonly earlier: ReadonlyMap<string, string>;
};

/** The folder of the copies of the registry's certificates, so that their names are not those of the operator's files. */
export const storedFolder = 'registry';

const nameOf = /^([A-Za-z0-9_][A-Za-z0-9._-]{0,120})\.(pem|crt)$/;
// Each certificate takes a read and a few commands, and somebody may mount a whole store.
const mostCertificates = 5000;

/**
 * The certificates of the operator's folder and of the registry, and their copies for HAProxy. A file that cannot be used leaves its copy
 * as it was. The registry's certificate of a host is left out where one of the folder has its name.
 */
export class CertificateFolder {
  readonly #parts: CertificateFolderParts;
  readonly #writes = new SerialQueue();
  #isRead = false;
  /** The list as it was written last. */
  #listed: string | undefined;
  /** What the folder had when it was read last. */
  #inFolder: InFolder = { found: new Map(), refused: new Map(), sources: [], names: new Set() };
  /** By the path of a copy, the host of a certificate of the registry. */
  #hosts: ReadonlyMap<string, string> = new Map();
  /** Both kinds, by the path of the copy. */
  wanted: ReadonlyMap<string, Certificate> = new Map();
  /** The certificates of the registry, by host. */
  stored: ReadonlyMap<string, StoredRead> = new Map();
  /** Why the file of the keys that open them cannot be used. */
  keysProblem: string | undefined;
  /** By the name of a file of the operator, why it cannot be used. */
  refused: ReadonlyMap<string, string> = new Map();

  constructor(parts: CertificateFolderParts) {
    this.#parts = parts;
  }
  async prepare(): Promise<void> {
    await makeFolder(this.#parts.own, 0o700);
    await makeFolder(join(this.#parts.own, storedFolder), 0o700);
  }

  /** What people call the certificate of a copy: the name of the operator's file, or the host. */
  nameOf(file: string): string {
    return this.#hosts.get(file) ?? basename(file, '.pem');
  }

  /** Whether a certificate of the folder has the name of this host. */
  folderServes(host: string): boolean {
    const { names } = this.#inFolder;
    return names.size > 0 && patternsOver(host).some((pattern) => names.has(pattern));
  }

  /** Reads the certificates of the registry, and with `folder` those of the folder. Writes the copies of those that changed. */
  async read({ folder = true } = {}): Promise<FolderChange> {
    const before = this.wanted;
    if (folder) this.#inFolder = await this.#readFolder();
    const { found: inFolder, refused, sources } = this.#inFolder;
    const found = new Map(inFolder);
    const stored = await this.#parts.stored.read();
    const { keysProblem } = this.#parts.stored;
    const storedChanged =
      keysProblem !== this.keysProblem ||
      stored.size !== this.stored.size ||
      [...stored].some(([host, one]) => this.stored.get(host)?.problem !== one.problem);
    this.keysProblem = keysProblem;
    this.stored = stored;
    this.#hosts = new Map([...stored].map(([host, one]) => [one.file, host]));
    for (const [host, { file, certificate }] of stored) {
      if (certificate !== undefined && !this.folderServes(host)) found.set(file, certificate);
    }
    const sameRefused = refused.size === this.refused.size && [...refused].every(([n, r]) => this.refused.get(n) === r);
    this.refused = refused;
    const fresh = [...found].filter(([file, one]) => before.get(file) !== one).map(([file]) => file);
    const changed = found.size !== before.size || fresh.length > 0;
    const earlier = new Map<string, string>();
    if (!changed && this.#isRead) return { changed: !sameRefused || storedChanged, sources, earlier };
    for (const file of before.size === 0 ? fresh : []) {
      const text = await readFile(file, 'utf8').catch(() => undefined);
      if (text !== undefined) earlier.set(file, text);
    }
    const unwritten = fresh.filter((file) => earlier.get(file) !== found.get(file)?.pem);
    await this.#writes.run(async () => {
      await this.#write(found, new Set(unwritten));
      this.wanted = found;
    });
    this.#isRead = true;
    for (const file of before.keys()) if (!found.has(file)) await unlink(file).catch(() => undefined);
    return { changed: changed || !sameRefused || storedChanged, sources, earlier };
  }

  async #readFolder(): Promise<InFolder> {
    const { folder } = this.#parts;
    if (folder === undefined) return this.#inFolder;
    const names = (await readdir(folder)).filter((name) => nameOf.test(name)).sort();
    const { found, refused } = await this.#parse(folder, names.slice(0, mostCertificates));
    return {
      ...{ found, refused },
      sources: names.flatMap((name) => [join(folder, name), join(folder, name.replace(/\.crt$/, '.key'))]),
      names: new Set([...found.values()].flatMap((one) => one.names.map((name) => name.toLowerCase()))),
    };
  }

  async #parse(folder: string, names: readonly string[]) {
    const { own, logger } = this.#parts;
    const found = new Map<string, Certificate>();
    const refused = new Map<string, string>();
    for (const name of names) {
      const file = join(own, `${name.replace(nameOf, '$1')}.pem`);
      const last = this.wanted.get(file);
      const parsed = parseCertificate(await this.#textOf(folder, name));
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

  async #textOf(folder: string, name: string): Promise<string> {
    const text = await readFile(join(folder, name), 'utf8');
    if (!name.endsWith('.crt')) return text;
    return `${text}\n${await readFile(join(folder, name.replace(/\.crt$/, '.key')), 'utf8').catch(() => '')}`;
  }

  /** Writes these copies again, because another program wrote to them. */
  rewrite(files: ReadonlySet<string>): Promise<void> {
    return this.#writes.run(() => this.#write(this.wanted, new Set([this.#parts.list, ...files])));
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

  /** Writes the copies that are among `files`, and their list if it is among them or has other copies than before. */
  async #write(all: ReadonlyMap<string, Certificate>, files: ReadonlySet<string>): Promise<void> {
    const { list } = this.#parts;
    for (const [file, { pem }] of all) if (files.has(file)) await replaceFile(file, pem, { mode: 0o600 });
    const listed = [...all.keys()].map((file) => `${file}\n`).join('');
    if (listed === this.#listed && !files.has(list)) return;
    await replaceFile(list, listed, { mode: 0o600 });
    this.#listed = listed;
  }
}
