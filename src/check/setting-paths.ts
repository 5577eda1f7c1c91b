import { access, constants, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathsOf } from '../balance/state/paths.ts';
import { parseSealingKeys } from '../model/acme/sealing.ts';
import { describe, Fault } from '../model/fault.ts';
import type { BalanceSettings } from '../settings/balance.ts';
import type { RegistrySettings } from '../settings/registry.ts';

type Named = { readonly flag: string; readonly path: string; readonly kind: 'file' | 'folder' };

/** The folders that a balancer follows from its start on and that are not there, or that it may not read. */
export function missingAtStart(settings: BalanceSettings): Promise<readonly Fault[]> {
  const { serverTls, secrets, errorPages, defaultErrorPages, https, acme, sealingKeys } = settings;
  const pages = new Set(defaultErrorPages?.values());
  const ofPages = errorPages ?? pathsOf(settings.dir).errorPages;
  return missing([
    ...[...pages].flatMap((page) => named('--default-error-pages', join(ofPages, `${page}.html`), 'file')),
    ...named('--server-tls', serverTls, 'folder'),
    ...named('--secrets', secrets, 'folder'),
    ...named('--error-pages', errorPages, 'folder'),
    ...named('--certificates', https?.certificates, 'folder'),
    ...named('--sealing-keys', sealingKeys, 'file'),
    ...named('--acme-ca', acme?.ca, 'file'),
    ...named('--acme-eab-key', acme?.eab?.keyFile, 'file'),
    ...named('--acme-dns-command', acme?.dns?.kind === 'command' ? acme.dns.file : undefined, 'file'),
    ...named('--acme-dns-key', acme?.dns?.kind === 'update' ? acme.dns.keyFile : undefined, 'file'),
  ]);
}

/** The files that etcd is reached with. They are read at each connect, so a balancer starts without them and waits. */
export function missingForEtcd(settings: RegistrySettings): Promise<readonly Fault[]> {
  if (settings.kind !== 'etcd') return Promise.resolve([]);
  const { tls, login } = settings;
  return missing([
    ...named('--etcd-ca', tls?.ca, 'file'),
    ...named('--etcd-cert', tls?.client?.cert, 'file'),
    ...named('--etcd-key', tls?.client?.key, 'file'),
    ...named('--etcd-password-file', login?.password.kind === 'file' ? login.password.path : undefined, 'file'),
  ]);
}

const named = (flag: string, path: string | undefined, kind: Named['kind']): readonly Named[] =>
  path === undefined ? [] : [{ flag, path, kind }];

/** Why the file of sealing keys cannot be used, if it can be read. */
export async function sealingKeysFaults({ sealingKeys }: BalanceSettings): Promise<readonly Fault[]> {
  const text = sealingKeys === undefined ? undefined : await readFile(sealingKeys, 'utf8').catch(() => undefined);
  const parsed = text === undefined ? undefined : parseSealingKeys(text);
  if (parsed === undefined || parsed.ok) return [];
  return [new Fault('settings', parsed.reason, { where: `--sealing-keys ${sealingKeys}` })];
}

async function missing(all: readonly Named[]): Promise<readonly Fault[]> {
  const faults = await Promise.all(all.map(faultOf));
  return faults.filter((fault) => fault !== undefined);
}

async function faultOf({ flag, path, kind }: Named): Promise<Fault | undefined> {
  const where = `${flag} ${path}`;
  try {
    if ((await stat(path)).isDirectory() !== (kind === 'folder')) {
      return new Fault('settings', `it is not a ${kind}`, { where });
    }
    await access(path, constants.R_OK);
    return undefined;
  } catch (cause) {
    return new Fault('settings', `the ${kind} cannot be read: ${describe(cause)}`, { where, cause });
  }
}
