import { createHash } from 'node:crypto';
import { readdir, readFile, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import type { Service } from '../../catalog/service.ts';
import { exists } from '../../fs/exists.ts';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import type { Haproxy } from '../../haproxy/haproxy.ts';
import { serveMap } from '../../haproxy/map-store.ts';
import type { WorkerConnection } from '../../haproxy/runtime-link.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { type Certificate, parseAuthorities, parseRevocations } from '../../model/certificate.ts';
import { describe } from '../../model/fault.ts';
import { type CertificateAuth, trustOf } from '../../model/policy/auth-certificate.ts';
import { clientHostsFile, clientListFile } from '../../render/client-certificate-files.ts';
import { hasWholeService, observingApplied, type ServingObserver } from '../observe/serving-observer.ts';
import { hostsThatAskClients } from './client-trust.ts';

export type ClientCertificatesParts = {
  /** The operator's folder of secrets, with the files of authorities and of revoked certificates. */
  readonly secrets: string;
  /** The folder that HAProxy reads. */
  readonly own: string;
  readonly services: () => Iterable<Service>;
  /** The certificates that HAProxy serves, by the paths of their files. */
  readonly certificates: () => ReadonlyMap<string, Certificate>;
  readonly check: Haproxy['validate'];
  readonly logger: Logger;
  /** HAProxy has to load this file itself. */
  readonly onReload: (file: string) => void;
};

/** The copies of the files that a host asks for; a reason: they cannot be used. */
type Trust =
  | { readonly ok: true; readonly ca: string; readonly crl: string | undefined }
  | { readonly ok: false; readonly reason: string };

const checkMs = 20_000;

/** Makes the files for an empty list, which each configuration may name. Rejects with Fault `storage`. */
export async function prepareClientCertificates(folder: string): Promise<void> {
  await makeFolder(folder, 0o750);
  for (const file of [clientListFile(folder), clientHostsFile(folder)]) {
    if (!(await exists(file))) await replaceFile(file, '', { mode: 0o640 });
  }
}

/**
 * The hosts that ask clients for certificates. HAProxy loads their list by a reload, also when authorities or revoked certificates
 * change: so an open connection, whose certificate was verified before, ends with its worker and serves no request after it.
 */
export class ClientCertificates {
  readonly #parts: ClientCertificatesParts;
  readonly #reported = new OncePerReason();
  readonly #asked = new OncePerReason();
  /** By the name of a copy, why HAProxy cannot load it; undefined: it can. */
  readonly #checked = new Map<string, string | undefined>();
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(parts: ClientCertificatesParts) {
    this.#parts = parts;
  }

  prepare(): Promise<void> {
    return prepareClientCertificates(this.#parts.own);
  }

  /** Makes deleted files again, so that HAProxy can load its configuration. `serve` fills them. Returns their paths. */
  async restore(): Promise<readonly string[]> {
    const { own } = this.#parts;
    const missing: string[] = [];
    for (const file of [clientListFile(own), clientHostsFile(own)]) if (!(await exists(file))) missing.push(file);
    if (missing.length > 0) await prepareClientCertificates(own);
    return missing;
  }

  /** Has HAProxy ask for the present certificates. Returns why requests are refused. Rejects with Fault `haproxy-runtime`. */
  async serve(worker: WorkerConnection): Promise<string | undefined> {
    const { own, onReload } = this.#parts;
    const { lines, entries } = await this.#wanted();
    const list = clientListFile(own);
    const map = clientHostsFile(own);
    if ((await readFile(list, 'utf8').catch(() => undefined)) !== lines.join('')) await this.#writeList(lines, entries);
    // A configuration without such a policy names neither list nor map.
    if (lines.length === 0 && this.#problems.size === 0) return this.#report();
    const [shown = ''] = await worker.run([`show ssl crt-list -n ${list}`]);
    const loaded = shown.split('\n').filter((line) => line !== '');
    if (loaded.shift() !== `# ${list}`) return this.#report();
    if (sorted(loaded.map((line) => line.replace(/:\d+ /, ' '))) !== sorted(lines.map((line) => line.trim()))) {
      if (this.#asked.isNew(list, `${worker.workerPid} ${digest(lines.join(''))}`)) onReload(list);
      return this.#report();
    }
    const text = textOf(entries);
    if ((await readFile(map, 'utf8').catch(() => undefined)) !== text) await replaceFile(map, text, { mode: 0o640 });
    await serveMap(worker, map, entries).catch((error: unknown) => {
      // No policy of this worker has such rules.
      if (!describe(error).includes('Unknown map')) throw error;
    });
    return this.#report();
  }

  /** Why no request of this service is let through; undefined: no reason is known. */
  problemOf(service: string): string | undefined {
    return this.#problems.get(service);
  }

  /** The lines of the list, and the entries of the map, as they should be. */
  async #wanted() {
    const { services, certificates } = this.#parts;
    const { hosts, problems } = hostsThatAskClients(services(), certificates());
    const trusts = new Map<string, Trust>();
    const lines: string[] = [];
    const entries = new Map<string, string>();
    for (const { host, files, auth, by } of hosts.values()) {
      const key = trustOf(auth);
      const trust = trusts.get(key) ?? (await this.#trust(auth));
      trusts.set(key, trust);
      if (!trust.ok) {
        problems.set(by, trust.reason);
        continue;
      }
      const crl = trust.crl === undefined ? '' : ` crl-file ${trust.crl}`;
      for (const file of files) lines.push(`${file} [verify optional ca-file ${trust.ca}${crl}] ${host}\n`);
      entries.set(host, key);
    }
    this.#problems = problems;
    return { lines, entries };
  }

  /**
   * Writes the list. HAProxy reads it before the map, and a worker that is starting may have read the old one. So the map loses the hosts
   * that change before, and gets them back when a worker shows that it has the new list. Otherwise a host could be let in by the
   * certificates of another list.
   */
  async #writeList(lines: readonly string[], entries: ReadonlyMap<string, string>): Promise<void> {
    const { own } = this.#parts;
    await makeFolder(own, 0o750);
    const [list, map] = [clientListFile(own), clientHostsFile(own)];
    const before = await readFile(list, 'utf8').catch(() => '');
    const known = new Set((await readFile(map, 'utf8').catch(() => '')).split('\n'));
    const unchanged = new Map([...entries].filter(([host, trust]) => known.has(`${host} ${trust}`)));
    await replaceFile(map, textOf(unchanged), { mode: 0o640 });
    await replaceFile(list, lines.join(''), { mode: 0o640 });
    await this.#drop(lines.join('') + before);
  }

  /** Deletes the copies that neither this list nor the one before names. */
  async #drop(lists: string): Promise<void> {
    const { own } = this.#parts;
    for (const name of await readdir(own)) {
      if (/^[0-9a-f]{32}\.pem$/.test(name) && !lists.includes(name)) {
        await unlink(join(own, name)).catch(() => undefined);
        this.#checked.delete(name);
      }
    }
  }

  async #trust({ ca, crl }: CertificateAuth): Promise<Trust> {
    const { secrets } = this.#parts;
    const copies: string[] = [];
    for (const [name, parse] of [[ca, parseAuthorities] as const, ...(crl ? [[crl, parseRevocations] as const] : [])]) {
      const text = await readFile(join(secrets, name), 'utf8').catch((error: unknown) => error);
      if (typeof text !== 'string') return refused(join(secrets, name), describe(text));
      const parsed = parse(text);
      if (!parsed.ok) return refused(join(secrets, name), parsed.reason);
      copies.push(await this.#copy(parsed.value.pem));
    }
    const [authorities = '', revocations] = copies;
    const reason = await this.#check(authorities, revocations);
    return reason === undefined
      ? { ok: true, ca: authorities, crl: revocations }
      : refused(join(secrets, crl ?? ca), reason);
  }

  /** The name of a copy changes with its text, so that a list never means other authorities than it was made for. */
  async #copy(pem: string): Promise<string> {
    const file = join(this.#parts.own, `${digest(pem)}.pem`);
    if (!(await exists(file))) {
      await makeFolder(this.#parts.own, 0o750);
      await replaceFile(file, pem, { mode: 0o640 });
    }
    return file;
  }

  /** Asks HAProxy itself, because one bad file in the list would keep it from each reload. */
  async #check(ca: string, crl: string | undefined): Promise<string | undefined> {
    const key = `${basename(ca)}${crl === undefined ? '' : basename(crl)}`;
    if (this.#checked.has(key)) return this.#checked.get(key);
    const file = join(this.#parts.own, 'check.cfg');
    const server = `server s 127.0.0.1:1 ssl verify required ca-file ${ca}${crl === undefined ? '' : ` crl-file ${crl}`}`;
    const timeouts = ['connect', 'client', 'server'].map((phase) => `    timeout ${phase} 1s\n`).join('');
    // Without a listener, HAProxy calls no configuration valid. It opens none while it checks.
    const listener = `    bind unix@${join(this.#parts.own, 'check')}`;
    await replaceFile(file, `defaults\n${timeouts}listen check\n${listener}\n    ${server}\n`, { mode: 0o640 });
    const checked = await this.#parts.check(file, checkMs);
    if (!checked.ok && checked.mayPass !== undefined) return checked.problems[0]?.text;
    const reason = checked.ok ? undefined : `HAProxy cannot load it: ${checked.problems[0]?.text}`;
    this.#checked.set(key, reason);
    return reason;
  }

  #report(): string | undefined {
    const { logger } = this.#parts;
    this.#reported.keepOnly(new Set(this.#problems.keys()));
    for (const [service, reason] of this.#problems) {
      if (!this.#reported.isNew(service, reason)) continue;
      const text = `requests of ${service} are refused: ${reason}`;
      logger.error({ event: 'client-certificates-refused', service, reason }, text);
    }
    const [first] = this.#problems;
    if (first === undefined) return undefined;
    const more = this.#problems.size > 1 ? `; and ${this.#problems.size - 1} more` : '';
    return `requests of ${first[0]} are refused: ${first[1]}${more}`;
  }
}

/** An observer that calls `look` when services changed that ask for certificates, and passes everything on to `other`. */
export function observingHosts(look: () => void, other: ServingObserver | undefined): ServingObserver {
  let asked = false;
  return observingApplied((dirty, catalog) => {
    if (!hasWholeService(dirty)) return;
    const asks = catalog.services.some(({ policy }) => policy.auth?.certificate !== undefined);
    if (asks || asked) look();
    asked = asks;
  }, other);
}

const refused = (file: string, reason: string): Trust => ({ ok: false, reason: `${file}: ${reason}` });
const sorted = (lines: readonly string[]): string => [...lines].sort().join('\n');
const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
const textOf = (entries: ReadonlyMap<string, string>): string =>
  [...entries].map(([host, trust]) => `${host} ${trust}\n`).join('');
