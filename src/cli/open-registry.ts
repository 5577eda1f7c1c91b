import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { formatAddress } from '../model/address.ts';
import { describe, Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { PasswordSource, RegistrySettings } from '../settings/registry.ts';

/** Opens the registry that the settings name, loading only that adapter: etcd's is most of a sidecar's memory. */
export async function openRegistry(settings: RegistrySettings, logger: Logger): Promise<Registry> {
  switch (settings.kind) {
    case 'directory': {
      const { openDirectoryRegistry } = await import('../registry/directory/directory-registry.ts');
      return openDirectoryRegistry({ path: settings.path, logger });
    }
    case 'etcd': {
      const { openEtcdRegistry } = await import('../registry/etcd/etcd-registry.ts');
      const { members, root, tls, login } = settings;
      return openEtcdRegistry({
        endpoints: members.map(formatAddress),
        root,
        tls: tls && { caFile: tls.ca, certFile: tls.client?.cert, keyFile: tls.client?.key },
        credentials: login && { username: login.user, readPassword: () => readPassword(login.password) },
      });
    }
  }
}

/** Opens the whole of the registry, whatever root is pointsman's own. A folder has one root for all. */
export function openAllKeys(settings: RegistrySettings, logger: Logger): Promise<Registry> {
  return openRegistry(settings.kind === 'etcd' ? { ...settings, root: '/' } : settings, logger);
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
