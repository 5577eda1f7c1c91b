import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { formatAddress } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import type { Decoding } from '../registry/etcd/key-space.ts';
import type { ReadFilter, Registry } from '../registry/registry.ts';
import type { PasswordSource, RegistrySettings } from '../settings/registry.ts';
import { sayingWaits, waitingFor } from './saying-waits.ts';

/** How keys and values are read; both are for etcd only. */
export type Reading = { readonly reading?: ReadFilter; readonly decoding?: Decoding };

/** Opens the registry that the settings name. Rejects with Fault `settings` when it is a folder that is not there. */
export async function openRegistry(
  settings: RegistrySettings,
  logger: Logger,
  options: Reading = {},
): Promise<Registry> {
  const fault = await folderFault(settings);
  if (fault !== undefined) throw fault;
  return openAdapter(settings, logger, options);
}

/** The same for a command that a person waits for: after half a second the person reads that the registry has not answered. */
export async function openAskedRegistry(settings: RegistrySettings, logger: Logger): Promise<Registry> {
  const registry = await openRegistry(settings, logger);
  return sayingWaits(registry, () => waitingFor(registry.location));
}

/** Why a folder cannot be the registry. pointsman does not create it: a mistyped path would be a registry that no other process reads. */
export async function folderFault(settings: RegistrySettings): Promise<Fault | undefined> {
  if (settings.kind !== 'directory') return undefined;
  const path = resolve(settings.path);
  const where = `--registry dir:${settings.path}`;
  try {
    if ((await stat(path)).isDirectory()) return undefined;
    return new Fault('settings', `${path} is not a folder`, { where });
  } catch (cause) {
    const hint = `correct the path, or make the folder: mkdir -p ${path}`;
    return new Fault('settings', `the folder cannot be used: ${describe(cause)}`, { where, hint, cause });
  }
}

/** Opens the registry, loading only that adapter: etcd's is most of a sidecar's memory. */
export async function openAdapter(
  settings: RegistrySettings,
  logger: Logger,
  options: Reading = {},
): Promise<Registry> {
  switch (settings.kind) {
    case 'directory': {
      const { openDirectoryRegistry } = await import('../registry/directory/directory-registry.ts');
      return openDirectoryRegistry({ path: settings.path, logger });
    }
    case 'etcd': {
      const { openEtcdRegistry } = await import('../registry/etcd/etcd-registry.ts');
      const { members, domain, root, tls, login } = settings;
      return openEtcdRegistry({
        endpoints: members.map(formatAddress),
        domain,
        root,
        ...options,
        tls: tls && { caFile: tls.ca, certFile: tls.client?.cert, keyFile: tls.client?.key },
        credentials: login && { username: login.user, readPassword: () => readPassword(login.password) },
      });
    }
  }
}

/**
 * Opens the whole of the registry for files, whatever root is pointsman's own. A folder has one root for all. Bytes that are not
 * UTF-8 are kept, so that a template of confd writes them as they are.
 */
export function openAllKeys(settings: RegistrySettings, logger: Logger): Promise<Registry> {
  return openRegistry(settings.kind === 'etcd' ? { ...settings, root: '/' } : settings, logger, { decoding: 'raw' });
}

async function readPassword(source: PasswordSource): Promise<string> {
  if (source.kind === 'text') return source.text;
  try {
    // An editor ends the file with a newline that is not meant.
    return (await readFile(source.path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new Fault('settings', `the password cannot be read: ${describe(cause)}`, { where: source.path, cause });
  }
}
