import { readFile } from 'node:fs/promises';
import { replaceFile } from '../../fs/replace-file.ts';
import { isStorageFault } from './storage.ts';

/**
 * The random name of the balancer that uses this folder. With it a balancer that was killed and started again gets its key in the
 * fleet back at once, and another balancer that has its id by mistake does not.
 */
export async function readOrMakeOwner(path: string, random: () => string): Promise<string> {
  const known = await readFile(path, 'utf8').catch(() => '');
  if (/^[A-Za-z0-9-]{1,64}$/.test(known)) return known;
  const owner = random();
  try {
    await replaceFile(path, owner, { mode: 0o600 });
  } catch (error) {
    // On a full disk the name is for this run only.
    if (!isStorageFault(error)) throw error;
  }
  return owner;
}
