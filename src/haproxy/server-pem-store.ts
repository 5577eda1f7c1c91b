import { setTimeout as pause } from 'node:timers/promises';
import { parseAuthorities, parseCertificate } from '../model/certificate.ts';
import { CertificateRefusal, isServed, load, longestPayload, storedFiles } from './certificate-store.ts';
import type { RuntimeConnection } from './runtime-connection.ts';
import { type CertificateConnection, unlockedCertificates } from './unlocked-certificates.ts';

/** The result for a file of the connections to servers that changed after HAProxy loaded it. */
export type PemChange = { readonly file: string } & (
  | { readonly kind: 'renewed'; readonly what: 'cert' | 'ca-file' }
  /** It cannot be used: HAProxy goes on with what it has. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It has to be read from disk. */
  | { readonly kind: 'reload'; readonly pem: string }
);

export type PemsWanted = {
  readonly folder: string;
  /** The text of a file; undefined for one that is gone, which changes nothing. */
  readonly read: (file: string) => Promise<string | undefined>;
  /** Whether this text is another one than this worker may have loaded. */
  readonly changed: (file: string, pem: string) => boolean;
  /**
   * False for a worker that was given authorities while it ran: 2.6 and 3.0 answer well to a certificate then, and go on
   * with the one before.
   */
  readonly takesCertificates: boolean;
};

/**
 * Has the running worker use the files of this folder as they are now, those that it has loaded. Rejects with Fault
 * `haproxy-runtime` when HAProxy does not answer.
 */
export async function renewServerPems(
  worker: RuntimeConnection,
  { folder, read, changed, takesCertificates }: PemsWanted,
): Promise<readonly PemChange[]> {
  const connection = unlockedCertificates(worker, pause);
  const [authorities = '', certificates = ''] = await connection.run(['show ssl ca-file', 'show ssl cert']);
  const changes: PemChange[] = [];
  const renew = async (file: string, kind: 'cert' | 'ca-file', pem: string) => {
    if (pem.length > longestPayload || (kind === 'cert' && !takesCertificates)) {
      changes.push({ kind: 'reload', file, pem });
      return;
    }
    try {
      await load(connection, file, { pem }, kind);
      changes.push({ kind: 'renewed', file, what: kind });
    } catch (error) {
      if (!(error instanceof CertificateRefusal)) throw error;
      changes.push({ kind: 'refused', file, reason: error.message });
    }
  };
  for (const file of filesIn(folder, storedFiles('show ssl cert', certificates))) {
    const text = await read(file);
    if (text === undefined) continue;
    const parsed = parseCertificate(text);
    if (!parsed.ok) changes.push({ kind: 'refused', file, reason: parsed.reason });
    else {
      const [answer = ''] = await connection.run([`show ssl cert ${file}`]);
      const { pem } = parsed.value;
      if (changed(file, pem) || !isServed(parsed.value, answer)) await renew(file, 'cert', pem);
    }
  }
  for (const file of filesIn(folder, storedFiles('show ssl ca-file', authorities))) {
    const text = await read(file);
    if (text === undefined) continue;
    const parsed = parseAuthorities(text);
    if (!parsed.ok) changes.push({ kind: 'refused', file, reason: parsed.reason });
    else if (changed(file, parsed.value.pem) || !isSame(await trustedOf(connection, file), parsed.value.fingerprints)) {
      await renew(file, 'ca-file', parsed.value.pem);
    }
  }
  return changes;
}

/** Those of the folder. Authorities are listed with their number. */
function filesIn(folder: string, lines: readonly string[]): readonly string[] {
  return lines
    .map((line) => line.replace(/ - \d+ certificate\(s\)$/, ''))
    .filter((file) => file.startsWith(`${folder}/`));
}

/** The fingerprints of the authorities that HAProxy has under this name. */
async function trustedOf(connection: CertificateConnection, file: string): Promise<ReadonlySet<string>> {
  const [answer = ''] = await connection.run([`show ssl ca-file ${file}`]);
  return new Set([...answer.matchAll(/^SHA1 FingerPrint: ([0-9A-F]+)$/gm)].flatMap(([, one]) => one ?? []));
}

const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((one) => b.has(one));
