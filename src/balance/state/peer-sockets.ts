import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** The names of policies, as `policyRenderer` makes them. */
const ofPolicy = /^[\w-]{12}$/;

/** Removes the sockets of policies that the configuration of HAProxy does not have. */
export async function removeUnusedSockets(folder: string, config: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const path = join(folder, name);
    if (ofPolicy.test(name) && !config.includes(`unix@${path} `)) await unlink(path).catch(() => undefined);
  }
}
