import { readFile } from 'node:fs/promises';
import { replaceFile } from '../../fs/replace-file.ts';
import { isStorageFault } from './storage.ts';

/**
 * The name of the balancer that lives in this folder, of its own making: by it a balancer that was killed and comes back
 * takes its place in the fleet again at once, and another one that has its id by mistake does not.
 */
export async function readOrMakeOwner(path: string, random: () => string): Promise<string> {
  const known = await readFile(path, 'utf8').catch(() => '');
  if (/^[A-Za-z0-9-]{1,64}$/.test(known)) return known;
  const owner = random();
  try {
    await replaceFile(path, owner, { mode: 0o600 });
  } catch (error) {
    // On a disk that is full it is a name for this run.
    if (!isStorageFault(error)) throw error;
  }
  return owner;
}
