import { parseAuthorities, parseCertificate } from '../model/certificate.ts';
import { fingerprintOf, linesOf, load, Refusal } from './certificate-store.ts';
import type { RuntimeConnection } from './runtime-connection.ts';

/** What was done with a file that HAProxy had loaded for its connections to servers, and that says something else now. */
export type PemChange = { readonly file: string } & (
  | { readonly kind: 'renewed'; readonly what: 'cert' | 'ca-file' }
  /** It cannot be used: HAProxy goes on with what it has. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It has to be read from disk. */
  | { readonly kind: 'reload'; readonly pem: string }
);

// A command and its payload have to fit into one buffer of HAProxy's (tune.bufsize, 16 KiB).
const mostBytes = 15_000;

/**
 * Has the running worker use the files of this folder as they are now, those that it has loaded. `read` gives undefined for one
 * that is gone, which changes nothing. A worker that was given authorities takes no certificates any more: 2.6 and 3.0 answer
 * well, and go on with the one before. Rejects with Fault `haproxy-runtime` when HAProxy does not answer.
 */
export async function renewServerPems(
  connection: RuntimeConnection,
  folder: string,
  read: (file: string) => Promise<string | undefined>,
  takesCertificates: boolean,
): Promise<readonly PemChange[]> {
  const [authorities = '', certificates = ''] = await connection.run(['show ssl ca-file', 'show ssl cert']);
  const changes: PemChange[] = [];
  const renew = async (file: string, kind: 'cert' | 'ca-file', pem: string) => {
    if (pem.length > mostBytes || (kind === 'cert' && !takesCertificates)) {
      changes.push({ kind: 'reload', file, pem });
      return;
    }
    try {
      await load(connection, file, { pem }, kind);
      changes.push({ kind: 'renewed', file, what: kind });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      changes.push({ kind: 'refused', file, reason: error.message });
    }
  };
  for (const file of filesOf(certificates, folder)) {
    const text = await read(file);
    if (text === undefined) continue;
    const parsed = parseCertificate(text);
    if (!parsed.ok) changes.push({ kind: 'refused', file, reason: parsed.reason });
    else if ((await fingerprintOf(connection, file)) !== parsed.value.fingerprint) {
      await renew(file, 'cert', parsed.value.pem);
    }
  }
  for (const file of filesOf(authorities, folder)) {
    const text = await read(file);
    if (text === undefined) continue;
    const parsed = parseAuthorities(text);
    if (!parsed.ok) changes.push({ kind: 'refused', file, reason: parsed.reason });
    else if (!isSame(await trustedOf(connection, file), parsed.value.fingerprints)) {
      await renew(file, 'ca-file', parsed.value.pem);
    }
  }
  return changes;
}

/** Those directly in the folder, of an answer that has one a line. */
function filesOf(answer: string, folder: string): readonly string[] {
  return linesOf(answer)
    .map((line) => line.replace(/ - \d+ certificate\(s\)$/, ''))
    .filter((file) => file.startsWith(`${folder}/`));
}

/** The fingerprints of the authorities that HAProxy has under this name. */
async function trustedOf(connection: RuntimeConnection, file: string): Promise<ReadonlySet<string>> {
  const [answer = ''] = await connection.run([`show ssl ca-file ${file}`]);
  return new Set([...answer.matchAll(/^SHA1 FingerPrint: ([0-9A-F]+)$/gm)].flatMap(([, one]) => one ?? []));
}

const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  a.size === b.size && [...a].every((one) => b.has(one));
