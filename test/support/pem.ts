import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type DetailedPeerCertificate } from 'node:tls';
import { execa } from 'execa';

export type PemOptions = {
  readonly days?: number;
  /** How many names it has besides its own: each adds some 30 bytes. */
  readonly moreNames?: number;
};

/** Writes a certificate for this name and its key into `FOLDER/NAME.pem`, by a rename as a renewal does. */
export async function issuePem(
  folder: string,
  name: string,
  { days = 2, moreNames = 0 }: PemOptions = {},
): Promise<void> {
  const [cert, key] = [join(folder, 'new.cert'), join(folder, 'new.key-part')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const more = Array.from({ length: moreNames }, (_, i) => `,DNS:${'n'.repeat(20)}${i}.${name}`).join('');
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}${more}`, '-days', String(days)];
  await execa('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject]);
  await execa('sh', ['-c', `cat ${cert} ${key} > ${folder}/new.part`]);
  await rename(join(folder, 'new.part'), join(folder, `${name}.pem`));
}

/** The certificate, with its chain, that is given to one who asks for this name; undefined when the handshake is refused. */
export function peerCertificate(port: number, servername: string): Promise<DetailedPeerCertificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate(true));
      socket.destroy();
    });
    socket.on('error', () => resolve(undefined)).setTimeout(5000, () => socket.destroy(new Error('no handshake')));
  });
}
