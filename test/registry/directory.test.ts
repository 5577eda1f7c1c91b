import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import { describeRegistryContract, type RegistryStore } from './contract.ts';

async function newStore(): Promise<RegistryStore> {
  const path = await mkdtemp(join(tmpdir(), 'pm-dir-'));
  const logger = pino({ level: 'silent' });
  return {
    open: () => openDirectoryRegistry({ path, logger }),
    async writeByHand(key, value) {
      await mkdir(dirname(join(path, key)), { recursive: true });
      await writeFile(join(path, key), `${value}\n`);
    },
    deleteByHand: (key) => rm(join(path, key)),
    dispose: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

describeRegistryContract('the directory', { newStore, ttlMs: 500 });
