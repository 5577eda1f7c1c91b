import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** A certificate authority of its own in a folder, made with the real openssl. */
export async function makeAuthority(folder: string) {
  await mkdir(folder, { recursive: true });
  const openssl = (...args: readonly string[]) => execa('openssl', args, { cwd: folder, timeout: 20_000 });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=test CA', '-days', '2');
  return {
    caFile: join(folder, 'ca.pem'),
    /** A certificate for 127.0.0.1 and these hosts that serves a server and a client alike; with 0 days it has run out. */
    async issue(name: string, days = 1, hosts: readonly string[] = []) {
      await openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      const names = ['IP:127.0.0.1', ...hosts.map((host) => `DNS:${host}`)].join();
      await writeFile(join(folder, 'san'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
      const signing = [
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        String(days),
        '-extfile',
        'san',
      ];
      await openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signing);
      return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
    },
  };
}

/** The lists of revoked certificates of an authority that `makeAuthority` made in this folder. */
export async function makeRevocations(folder: string) {
  const config = [
    ...['[ca]', 'default_ca=a', '[a]', 'database=index', 'default_md=sha256', 'default_crl_days=2', ''],
  ].join('\n');
  await writeFile(join(folder, 'ca.cnf'), config);
  await writeFile(join(folder, 'index'), '');
  const from = ['-config', 'ca.cnf', '-keyfile', 'ca.key', '-cert', 'ca.pem'];
  const openssl = (...args: readonly string[]) => execa('openssl', args, { cwd: folder, timeout: 20_000 });
  return {
    revoke: (certFile: string) => openssl('ca', ...from, '-revoke', certFile),
    /** Gives the text of the present list. */
    async list(): Promise<string> {
      return (await openssl('ca', ...from, '-gencrl')).stdout;
    },
  };
}
