import { stat } from 'node:fs/promises';

/**
 * Why other users than the owner of a secret file and its group can read or write it, and how to correct that. Undefined: they cannot, or the
 * file is not there.
 */
export async function openToOthers(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || (found.mode & 0o006) === 0) return undefined;
  const mode = (found.mode & 0o7777).toString(8).padStart(4, '0');
  return `every user of this machine can ${(found.mode & 0o004) === 0 ? 'write' : 'read'} it (mode ${mode}): chmod o-rwx ${path}`;
}
