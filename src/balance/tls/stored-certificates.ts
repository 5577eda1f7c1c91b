import { join } from 'node:path';
import { hostOfCertificate } from '../../model/acme/keys.ts';
import { open, type SealingKeys } from '../../model/acme/sealing.ts';
import { parseStoredCertificate } from '../../model/acme/stored-certificate.ts';
import { type Certificate, parseCertificate } from '../../model/certificate.ts';
import { accepted, type Parsed, rejected } from '../../model/parsed.ts';
import { patternsOver } from '../../model/route.ts';
import type { Entry, RegistryEvent } from '../../registry/registry.ts';

export type StoredCertificatesParts = {
  /** The folder of their copies, which HAProxy reads. */
  readonly own: string;
  /** The keys that open private keys, or why there are none. */
  readonly sealing: { readonly keys: SealingKeys | undefined; readonly problem: string | undefined };
};

/** A certificate of the registry as this balancer reads it. */
export type StoredRead = {
  readonly entry: Entry;
  readonly file: string;
  /** The last good one. */
  readonly certificate: Certificate | undefined;
  /** Why the entry as it is now cannot be used. */
  readonly problem: string | undefined;
};

type Known = StoredRead & { readonly keys: SealingKeys | undefined };

// Each takes a few commands, and whoever writes the registry could write any number.
const mostCertificates = 5000;

/** The certificates of the registry (`certificates/<host>`). An entry that cannot be used leaves its last good certificate. */
export class StoredCertificates {
  readonly #parts: StoredCertificatesParts;
  /** By host. */
  #entries: ReadonlyMap<string, Entry> = new Map();
  #known: ReadonlyMap<string, Known> = new Map();

  constructor(parts: StoredCertificatesParts) {
    this.#parts = parts;
  }

  /** Goes on from what the process before this one knew; to be called before the first event. */
  resume(entries: Iterable<Entry>): void {
    this.#entries = certificatesOf(entries);
  }

  /** Returns whether certificates changed. */
  offer(event: RegistryEvent): boolean {
    if (event.kind === 'snapshot') {
      const before = this.#entries;
      this.#entries = certificatesOf(event.entries.values());
      return (
        this.#entries.size !== before.size ||
        [...this.#entries].some(([host, { value, rejected }]) => {
          const known = before.get(host);
          return known?.value !== value || known.rejected !== rejected;
        })
      );
    }
    if (event.kind !== 'changes') return false;
    const changed = new Map(this.#entries);
    let count = 0;
    for (const change of event.changes) {
      const host = hostOfCertificate(change.kind === 'put' ? change.entry.key : change.key);
      if (host === undefined) continue;
      count += 1;
      if (change.kind === 'put') changed.set(host, change.entry);
      else changed.delete(host);
    }
    if (count > 0) this.#entries = changed;
    return count > 0;
  }

  /** The entries as they are now, by host. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** Opens and reads what changed since the last call. Gives what is known of each host. */
  read(): ReadonlyMap<string, StoredRead> {
    const { keys, problem } = this.#parts.sealing;
    const known = new Map<string, Known>();
    for (const [host, entry] of [...this.#entries].slice(0, mostCertificates)) {
      const last = this.#known.get(host);
      if (last !== undefined && sameEntry(last.entry, entry) && (last.keys === keys || last.problem === undefined)) {
        known.set(host, { ...last, entry });
        continue;
      }
      const parsed = readEntry(host, entry, keys, problem);
      const certificate = parsed.ok ? parsed.value : last?.certificate;
      const same = parsed.ok && last?.certificate?.pem === parsed.value.pem;
      known.set(host, {
        ...{ entry, keys, file: join(this.#parts.own, `${fileNameOf(host)}.pem`) },
        certificate: same ? last.certificate : certificate,
        problem: parsed.ok ? undefined : parsed.reason,
      });
    }
    this.#known = known;
    return known;
  }
}

function certificatesOf(entries: Iterable<Entry>): ReadonlyMap<string, Entry> {
  const found = new Map<string, Entry>();
  for (const entry of entries) {
    const host = hostOfCertificate(entry.key);
    if (host !== undefined) found.set(host, entry);
  }
  return found;
}

const sameEntry = (one: Entry, other: Entry): boolean => one.value === other.value && one.rejected === other.rejected;

function readEntry(
  host: string,
  { key, value, rejected: refused }: Entry,
  keys: SealingKeys | undefined,
  problem: string | undefined,
): Parsed<Certificate> {
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
  return patternsOver(host).some((pattern) => own.has(pattern)) || isOfAddress(certificate.value)
    ? accepted(certificate.value)
    : rejected(`the certificate is for ${names.join(', ')}, not for ${host}`);
}

/** A certificate for an IP address has no name. */
const isOfAddress = ({ names }: Certificate): boolean => names.length === 0;

/** A name for a file that HAProxy reads without quotes, another one for each host. */
const fileNameOf = (host: string): string =>
  host.replace(/[^a-z0-9.-]/g, (char) => `_${char.codePointAt(0)?.toString(16).padStart(2, '0')}`);
