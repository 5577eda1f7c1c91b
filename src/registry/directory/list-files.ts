import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../model/error-code.ts';
import { describe } from '../../model/fault.ts';
import { parseKeyPath } from './paths.ts';
import { findStamp } from './value-file.ts';

export type ListHooks = {
  /** Called with each folder before it is listed. */
  readonly onFolder: (folder: string) => void;
  /** Called with a file or folder that is no part of the registry. */
  readonly onIgnored: (key: string, reason: string) => void;
};

/** How many files are looked at together. */
export const filesAtOnce = 16;
export const notAKey = 'its name is none that a key can have';

/** The keys of the files below a folder, with their stamps; undefined for a file with a name that is no key. */
export async function listFiles(
  root: string,
  folder: string,
  hooks: ListHooks,
): Promise<Map<string, string | undefined>> {
  const { onFolder, onIgnored } = hooks;
  onFolder(folder);
  const listing = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
    // A folder that is not there, or has just gone, has no files.
    if (folder !== '' && errorCode(error) !== 'ENOENT') onIgnored(folder, `it cannot be listed: ${describe(error)}`);
    return [];
  });
  const found = new Map<string, string | undefined>();
  const files: string[] = [];
  for (const item of listing) {
    const key = folder === '' ? item.name : `${folder}/${item.name}`;
    // Hidden files and editors' backups are intended: no warning.
    if (item.name.startsWith('.') || item.name.endsWith('~')) continue;
    if (!parseKeyPath(key).ok) {
      found.set(key, undefined);
      onIgnored(key, notAKey);
    } else if (item.isDirectory()) {
      for (const [below, stamp] of await listFiles(root, key, hooks)) found.set(below, stamp);
    } else files.push(key);
  }
  for (let start = 0; start < files.length; start += filesAtOnce) {
    const some = files.slice(start, start + filesAtOnce);
    const stamps = await Promise.all(some.map((key) => findStamp(join(root, key))));
    for (const [index, key] of some.entries()) found.set(key, stamps[index]);
  }
  return found;
}
