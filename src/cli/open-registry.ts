import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegistrySettings } from '../settings/registry.ts';

/** Opens the registry that the settings name, loading only that adapter: etcd's is most of a sidecar's memory. */
export async function openRegistry(settings: RegistrySettings, logger: Logger): Promise<Registry> {
  switch (settings.kind) {
    case 'directory': {
      const { openDirectoryRegistry } = await import('../registry/directory/directory-registry.ts');
      return openDirectoryRegistry({ path: settings.path, logger });
    }
    case 'etcd':
      throw new Fault('usage', 'etcd is not joined yet');
  }
}
