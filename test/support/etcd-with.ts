import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeAuthority } from './certificates.ts';
import { startEtcd } from './etcd.ts';

/** How an etcd is reached: each by itself and both. */
export const accesses = [
  { access: 'plain', tls: false, user: false },
  { access: 'TLS', tls: true, user: false },
  { access: 'a user', tls: false, user: true },
  { access: 'TLS and a user', tls: true, user: true },
] as const;

export type AccessKind = { readonly tls: boolean; readonly user: boolean };

/** One member that wants certificates of both sides, a user with a password, both or neither; keys lie in `dir`. */
export async function startEtcdWith(kind: AccessKind, dir: string) {
  const authority = kind.tls ? await makeAuthority(join(dir, 'authority')) : undefined;
  const pair = await authority?.issue('both');
  const etcd = await startEtcd(1, {
    ...(authority === undefined || pair === undefined
      ? {}
      : {
          scheme: 'https',
          args: ['--client-cert-auth', '--trusted-ca-file', authority.caFile, '--cert-file', pair.certFile, '--key-file', pair.keyFile], // biome-ignore format: a command line
          ctlArgs: ['--cacert', authority.caFile, '--cert', pair.certFile, '--key', pair.keyFile],
        }),
  });
  const passwordFile = join(dir, 'password');
  if (kind.user) {
    await etcd.ctl('user', 'add', 'root:first');
    await etcd.ctl('user', 'grant-role', 'root', 'root').catch(() => undefined);
    await etcd.ctl('role', 'add', 'all');
    await etcd.ctl('role', 'grant-permission', 'all', '--prefix=true', 'readwrite', '/');
    await etcd.ctl('user', 'add', 'ada:first');
    await etcd.ctl('user', 'grant-role', 'ada', 'all');
    await etcd.ctl('auth', 'enable');
    await writeFile(passwordFile, 'first\n');
  }
  return {
    etcd,
    /** The flags with which pointsman connects. */
    flags: [
      ...(authority === undefined || pair === undefined
        ? []
        : ['--etcd-ca', authority.caFile, '--etcd-cert', pair.certFile, '--etcd-key', pair.keyFile]),
      ...(kind.user ? ['--etcd-user', 'ada', '--etcd-password-file', passwordFile] : []),
    ],
    /** Where pointsman reads the password at each connect. */
    passwordFile: kind.user ? passwordFile : undefined,
  };
}
