import { readdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Logger } from 'pino';
import { hostOfCertificate } from '../../model/acme/keys.ts';
import { open, type SealingKeys } from '../../model/acme/sealing.ts';
import { parseStoredCertificate } from '../../model/acme/stored-certificate.ts';
import { type Certificate, parseCertificate } from '../../model/certificate.ts';
import { accepted, type Parsed, rejected } from '../../model/parsed.ts';
import { patternsOver } from '../../model/route.ts';
import type { Entry, RegistryEvent } from '../../registry/registry.ts';
import { hostOfCopy, nameOfCopy } from './copy-names.ts';

export type StoredCertificatesParts = {
  /** The folder of their copies, which HAProxy reads. */
  readonly own: string;
  /** The keys that open private keys, or why there are none or only those of before. */
  readonly sealing: { readonly keys: SealingKeys | undefined; readonly problem: string | undefined };
  readonly logger: Logger;
};

/** A certificate of the registry as this balancer reads it. */
export type StoredRead = {
  /** Undefined: the copy of an earlier process, before the registry has answered. */
  readonly entry: Entry | undefined;
  readonly file: string;
  /** The last good one. */
  readonly certificate: Certificate | undefined;
  /** Why the entry as it is now cannot be used. */
  readonly problem: string | undefined;
};

type Known = StoredRead & { readonly keys: SealingKeys | undefined };

// Each certificate takes HAProxy a few commands, so a program that writes too many entries must not occupy it.
const mostCertificates = 5000;
/** Certificates that are opened before the event loop does other work: each takes some 0.2 ms. */
const openedAtOnce = 25;

/**
 * The certificates of the registry (`certificates/<host>`). An entry that cannot be used leaves its last good certificate, also after a
 * restart: the copies for HAProxy are the last good ones then.
 */
export class StoredCertificates {
  readonly #parts: StoredCertificatesParts;
  /** By host. */
  #entries: ReadonlyMap<string, Entry> = new Map();
  #known: ReadonlyMap<string, Known> = new Map();
  /** The registry has answered. */
  #heard = false;

  constructor(parts: StoredCertificatesParts) {
    this.#parts = parts;
  }

  /** Reads the copies that an earlier process left. They count until the registry answers. */
  async prepare(): Promise<void> {
    const { own } = this.#parts;
    const known = new Map<string, Known>();
    for (const name of await readdir(own).catch(() => [])) {
      const host = hostOfCopy(name);
      const file = join(own, name);
      const parsed = host && parseCertificate(await readFile(file, 'utf8').catch(() => ''));
      if (host === undefined || !parsed || !parsed.ok) continue;
      known.set(host, { entry: undefined, keys: undefined, file, certificate: parsed.value, problem: undefined });
    }
    this.#known = known;
  }

  /** Goes on from what the process before this one knew; to be called before the first event. */
  resume(entries: Iterable<Entry>): void {
    this.#entries = certificatesOf(entries);
  }

  /** Returns whether certificates changed. */
  offer(event: RegistryEvent): boolean {
    if (event.kind === 'snapshot') {
      const before = this.#heard ? this.#entries : undefined;
      this.#heard = true;
      this.#entries = certificatesOf(event.entries.values());
      if (before === undefined || this.#entries.size !== before.size) return true;
      return [...this.#entries].some(([host, entry]) => !sameEntry(before.get(host), entry));
    }
    if (event.kind !== 'changes') return false;
    let changed: Map<string, Entry> | undefined;
    for (const change of event.changes) {
      const host = hostOfCertificate(change.kind === 'put' ? change.entry.key : change.key);
      if (host === undefined) continue;
      changed ??= new Map(this.#entries);
      if (change.kind === 'put') changed.set(host, change.entry);
      else changed.delete(host);
    }
    if (changed === undefined) return false;
    this.#entries = changed;
    return true;
  }

  /** The entries as they are now, by host. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** Why the file of keys cannot be used although its keys of before can. */
  get keysProblem(): string | undefined {
    const { keys, problem } = this.#parts.sealing;
    return keys === undefined ? undefined : problem;
  }

  /** Opens and reads what changed since the last call. Gives what is known of each host. One call at a time. */
  async read(): Promise<ReadonlyMap<string, StoredRead>> {
    const { keys } = this.#parts.sealing;
    const known = new Map<string, Known>();
    if (!this.#heard) for (const [host, one] of this.#known) if (one.entry === undefined) known.set(host, one);
    let opened = 0;
    for (const [host, entry] of this.#entries) {
      if (known.has(host)) continue;
      const last = this.#known.get(host);
      // Other keys may not open it any more: that must be known before the copies are all that is left.
      if (last !== undefined && sameEntry(last.entry, entry) && last.keys === keys) {
        known.set(host, { ...last, entry });
        continue;
      }
      known.set(host, this.#readEntry(host, entry, last, known.size));
      opened += 1;
      if (opened % openedAtOnce === 0) await otherWork();
    }
    this.#known = known;
    return known;
  }

  #readEntry(host: string, entry: Entry, last: Known | undefined, others: number): Known {
    const { own, sealing, logger } = this.#parts;
    const parsed = others < mostCertificates ? readEntry(host, entry, sealing) : rejected(beyondMost);
    const same = parsed.ok && last?.certificate?.pem === parsed.value.pem;
    const certificate = parsed.ok && !same ? parsed.value : last?.certificate;
    const problem = parsed.ok ? undefined : parsed.reason;
    if (problem !== undefined && problem !== last?.problem) {
      const event = {
        event: 'certificate-refused',
        name: host,
        reason: problem,
        lastGoodServes: certificate !== undefined,
      };
      logger.error(event, `${entry.key}: ${problem}`);
    }
    return { entry, keys: sealing.keys, file: join(own, nameOfCopy(host)), certificate, problem };
  }
}

const beyondMost = `there are ${mostCertificates} certificates already, the most that a balancer serves`;

function certificatesOf(entries: Iterable<Entry>): ReadonlyMap<string, Entry> {
  const found = new Map<string, Entry>();
  for (const entry of entries) {
    const host = hostOfCertificate(entry.key);
    if (host !== undefined) found.set(host, entry);
  }
  return found;
}

const sameEntry = (one: Entry | undefined, other: Entry): boolean =>
  one?.value === other.value && one.rejected === other.rejected;

function readEntry(
  host: string,
  { key, value, rejected: refused }: Entry,
  { keys, problem }: StoredCertificatesParts['sealing'],
): Parsed<Certificate> {
  if (hostOfCopy(nameOfCopy(host)) !== host) {
    return rejected('its key names no host: write certificates/<host> in lower case, as certificates/shop.example.com');
  }
  if (refused !== undefined) return rejected(refused);
  const stored = parseStoredCertificate(value);
  if (!stored.ok) return stored;
  if (keys === undefined) return rejected(problem ?? 'there are no keys to open its private key');
  const opened = open(stored.value.key, key, keys);
  if (!opened.ok) return rejected(`its private key cannot be opened: ${opened.reason}`);
  const certificate = parseCertificate(`${stored.value.certificate}\n${opened.value}`);
  if (!certificate.ok) return certificate;
  const { names } = certificate.value;
  const own = new Set(names.map((name) => name.toLowerCase()));
  // The addresses of a certificate are not among its names.
  if (isIP(host) > 0 || patternsOver(host).some((pattern) => own.has(pattern))) return accepted(certificate.value);
  return rejected(`the certificate is for ${names.join(', ') || 'no name'}, not for ${host}`);
}
