import type { Certificate } from '../model/certificate.ts';
import type { RuntimeConnection } from './runtime-connection.ts';

/** What was done so that HAProxy serves what it should, a file each. */
export type CertificateChange = { readonly file: string } & (
  | { readonly kind: 'added' | 'renewed' | 'removed' }
  | { readonly kind: 'refused'; readonly reason: string }
);

/**
 * Has the running worker serve just these certificates, by the path of each one's file: what it has already is left alone.
 * The files are on disk before, so that a reload agrees. One that HAProxy refuses does not keep it from the others. Rejects with
 * Fault `haproxy-runtime` when HAProxy does not answer.
 */
export async function serveCertificates(
  connection: RuntimeConnection,
  list: string,
  wanted: ReadonlyMap<string, Certificate>,
): Promise<readonly CertificateChange[]> {
  const changes: CertificateChange[] = [];
  const [stored = '', listed = ''] = await connection.run(['show ssl cert', `show ssl crt-list -n ${list}`]);
  const stores = new Set(linesOf(stored));
  const entries = new Set(linesOf(listed).map((line) => line.replace(/:\d+( .*)?$/, '')));
  const attempt = async (file: string, kind: 'added' | 'renewed' | 'removed', act: () => Promise<void>) => {
    try {
      await act();
      changes.push({ kind, file });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      changes.push({ kind: 'refused', file, reason: error.message });
    }
  };
  for (const [file, certificate] of wanted) {
    const known = stores.has(file) && entries.has(file);
    if (known && (await fingerprintOf(connection, file)) === certificate.fingerprint) continue;
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
      await connection.run([`del ssl cert ${file}`]);
    });
  }
  return changes;
}

/** HAProxy's answer to a command that it did not do. */
export class Refusal extends Error {
  constructor(command: string, answer: string) {
    super(`HAProxy answered ${JSON.stringify(answer.trim())} to ${JSON.stringify(command)}`);
  }
}

export const linesOf = (answer: string): readonly string[] =>
  answer.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('*'));

export async function fingerprintOf(connection: RuntimeConnection, file: string): Promise<string | undefined> {
  const [answer = ''] = await connection.run([`show ssl cert ${file}`]);
  return /^SHA1 FingerPrint: ([0-9A-F]+)$/m.exec(answer)?.[1];
}

/** Has HAProxy use this certificate instead of the one that it has under this name. */
export async function load(
  connection: RuntimeConnection,
  file: string,
  { pem }: Pick<Certificate, 'pem'>,
  kind: 'cert' | 'ca-file' = 'cert',
): Promise<void> {
  const answer = await connection.runWithPayload(`set ssl ${kind} ${file}`, pem);
  if (!/transaction (created|updated) for (certificate|CA)/i.test(answer)) {
    throw new Refusal(`set ssl ${kind} ${file}`, answer);
  }
  try {
    await expectAnswer(connection, `commit ssl ${kind} ${file}`, /Success!$/);
  } catch (error) {
    // One that stays open would block this certificate for ever.
    await connection.run([`abort ssl ${kind} ${file}`]);
    throw error;
  }
}

async function expectAnswer(connection: RuntimeConnection, command: string, accepted: RegExp): Promise<void> {
  const [answer = ''] = await connection.run([command]);
  if (!accepted.test(answer.trim())) throw new Refusal(command, answer);
}
