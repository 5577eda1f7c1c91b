import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** As `policyRenderer` names them. */
const ofPolicy = /^[\w-]{12}$/;

/** Removes the sockets of policies that this configuration, which HAProxy has just loaded, does not have. */
export async function removeUnusedSockets(folder: string, config: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const path = join(folder, name);
    if (ofPolicy.test(name) && !config.includes(`unix@${path} `)) await unlink(path).catch(() => undefined);
  }
}
