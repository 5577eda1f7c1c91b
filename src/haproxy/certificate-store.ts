import { setTimeout as pause } from 'node:timers/promises';
import type { Certificate } from '../model/certificate.ts';
import { unexpectedAnswer } from './answers.ts';
import type { RuntimeConnection } from './runtime-connection.ts';
import { type CertificateConnection, unlockedCertificates } from './unlocked-certificates.ts';

/** The changes that HAProxy took, by file. */
export type CertificateChange = { readonly file: string } & (
  | { readonly kind: 'added' | 'renewed' | 'removed' }
  | { readonly kind: 'refused'; readonly reason: string }
  /** It does not fit into a command: HAProxy has to read it from disk. */
  | { readonly kind: 'reload' }
);

/** A command and its payload have to fit into one buffer of HAProxy's (`tune.bufsize`, 16 KiB): a longer one ends the connection. */
export const longestPayload = 15_000;

// A line that is longer than HAProxy's buffer is not run; these are sent one a line, so only the queue is bounded.
const asksAtOnce = 500;

export type CertificatesWanted = {
  /** The list that the configuration names with `crt-list`. */
  readonly list: string;
  /** By the path of each one's file. */
  readonly wanted: ReadonlyMap<string, Certificate>;
  /** The files whose text is another one than this worker may have loaded. */
  readonly changed: ReadonlySet<string>;
};

/**
 * Has the running worker serve just these certificates: what it has already is left alone. The files are on disk before, so
 * that a reload agrees. One that HAProxy refuses does not keep it from the others. Rejects with Fault `haproxy-runtime`
 * when HAProxy does not answer, or has no such list.
 */
export async function serveCertificates(
  worker: RuntimeConnection,
  { list, wanted, changed }: CertificatesWanted,
): Promise<readonly CertificateChange[]> {
  const connection = unlockedCertificates(worker, pause);
  const changes: CertificateChange[] = [];
  const [stored = '', listed = ''] = await connection.run(['show ssl cert', `show ssl crt-list -n ${list}`]);
  const stores = new Set(storedFiles('show ssl cert', stored));
  const entries = readList(list, listed);
  const same = await servedAsWanted(connection, wanted, new Set([...stores].filter((file) => entries.has(file))));
  const attempt = async (file: string, kind: 'added' | 'renewed' | 'removed', act: () => Promise<void>) => {
    try {
      await act();
      changes.push({ kind, file });
    } catch (error) {
      if (!(error instanceof CertificateRefusal)) throw error;
      changes.push({ kind: 'refused', file, reason: error.message });
    }
  };
  for (const [file, certificate] of wanted) {
    const known = stores.has(file) && entries.has(file);
    if (known && same.has(file) && !changed.has(file)) continue;
    if (certificate.pem.length > longestPayload) {
      changes.push({ kind: 'reload', file });
      continue;
    }
    await attempt(file, known ? 'renewed' : 'added', async () => {
      if (!stores.has(file)) await expectAnswer(connection, `new ssl cert ${file}`, /^New empty certificate store/);
      await load(connection, file, certificate);
      if (!entries.has(file)) await expectAnswer(connection, `add ssl crt-list ${list} ${file}`, /Success!$/);
    });
  }
  for (const file of entries) {
    if (wanted.has(file)) continue;
    await attempt(file, 'removed', async () => {
      await expectAnswer(connection, `del ssl crt-list ${list} ${file}`, /deleted in crtlist/);
      await expectAnswer(connection, `del ssl cert ${file}`, /deleted!$/);
    });
  }
  return changes;
}

/** The files in the answer to `show ssl crt-list -n LIST`: a heading, then `FILE:LINE` or `FILE` with options a line. */
function readList(list: string, answer: string): ReadonlySet<string> {
  const [heading, ...lines] = answer.split('\n').filter((line) => line !== '');
  if (heading !== `# ${list}`) throw unexpectedAnswer(`show ssl crt-list -n ${list}`, answer);
  return new Set(lines.map((line) => line.replace(/:\d+( .*)?$/, '')));
}

/** Those of `known` that HAProxy serves with the wanted certificate and the wanted chain, as far as its answers show. */
async function servedAsWanted(
  connection: CertificateConnection,
  wanted: ReadonlyMap<string, Certificate>,
  known: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const same = new Set<string>();
  const files = [...wanted].filter(([file]) => known.has(file));
  for (let i = 0; i < files.length; i += asksAtOnce) {
    const some = files.slice(i, i + asksAtOnce);
    const answers = await connection.run(some.map(([file]) => `show ssl cert ${file}`));
    for (const [j, [file, certificate]] of some.entries()) {
      if (isServed(certificate, answers[j] ?? '')) same.add(file);
    }
  }
  return same;
}

/**
 * Whether the answer to `show ssl cert FILE` is about this certificate, with as many others in its chain: HAProxy shows no
 * fingerprint of those. Where the file has none, HAProxy may have found some itself (`issuers-chain-path`). HAProxy cuts an answer
 * off after 16 KiB, and writes the names of a certificate before its fingerprint and its chain. So for one with hundreds of names
 * HAProxy shows only the serial number.
 */
export function isServed(
  { fingerprint, serial, chain }: Pick<Certificate, 'fingerprint' | 'serial' | 'chain'>,
  answer: string,
): boolean {
  if (!/^SHA1 FingerPrint: /m.test(answer)) return /^Serial: ([0-9A-F]+)$/m.exec(answer)?.[1] === serial;
  const others = answer.match(/^Chain Subject: /gm)?.length ?? 0;
  const same = /^SHA1 FingerPrint: ([0-9A-F]+)$/m.exec(answer)?.[1] === fingerprint;
  return same && (chain === 0 || others === chain);
}

/** HAProxy's answer to a command that it did not do. */
export class CertificateRefusal extends Error {
  constructor(command: string, answer: string) {
    super(unexpectedAnswer(command, answer).message);
  }
}

/**
 * The files in an answer to `show ssl cert` or `show ssl ca-file`, which is empty where HAProxy has none. Throws a Fault
 * `haproxy-runtime` for one without its heading: it is an error.
 */
export function storedFiles(command: string, answer: string): readonly string[] {
  if (answer.trim() !== '' && !/^# (filename|transaction)$/m.test(answer)) throw unexpectedAnswer(command, answer);
  return answer.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('*'));
}

/** Has HAProxy use this certificate instead of the one that it has under this name. */
export async function load(
  connection: CertificateConnection,
  file: string,
  { pem }: Pick<Certificate, 'pem'>,
  kind: 'cert' | 'ca-file' = 'cert',
): Promise<void> {
  const answer = await connection.runWithPayload(`set ssl ${kind} ${file}`, pem);
  if (!/transaction (created|updated) for (certificate|CA)/i.test(answer)) {
    throw new CertificateRefusal(`set ssl ${kind} ${file}`, answer);
  }
  try {
    await expectAnswer(connection, `commit ssl ${kind} ${file}`, /Success!$/);
  } catch (error) {
    // One that stays open would block this certificate for ever.
    await connection.run([`abort ssl ${kind} ${file}`]);
    throw error;
  }
}

async function expectAnswer(connection: CertificateConnection, command: string, accepted: RegExp): Promise<void> {
  const [answer = ''] = await connection.run([command]);
  if (!accepted.test(answer.trim())) throw new CertificateRefusal(command, answer);
}
