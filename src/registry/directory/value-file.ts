import type { BigIntStats } from 'node:fs';
import { lstat, open, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, errorCode } from '../../model/fault.ts';
import { parseKeyPath } from './paths.ts';

/** etcd's own limit for a request, so that what fits here fits there. */
export const mostValueBytes = 1.5 * 1024 * 1024;

/**
 * Identifies a version of a file: its mtime in ns and its size. pointsman chooses the mtime of a file that it writes, at random
 * below a millisecond, and records it in the journal before it moves the file into the tree. So a person wrote a file whose
 * stamp is not in the journal, even in the same tick of the kernel's clock (4 ms on most).
 */
const fileStamp = (stats: Pick<BigIntStats, 'mtimeNs' | 'size'>): string => `${stats.mtimeNs}:${stats.size}`;

export type FoundFile =
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly reason: string }
  | { readonly kind: 'value'; readonly value: string; readonly file: string };

/** Only the stamp, without reading the file. */
export async function findStamp(path: string): Promise<string | undefined> {
  try {
    return fileStamp(await lstat(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/** Reads the file at a path of the tree. Returns why it cannot be a value, instead of throwing. */
export async function readValueFile(path: string): Promise<FoundFile> {
  try {
    const stats = await lstat(path, { bigint: true });
    if (stats.isSymbolicLink())
      return { kind: 'unusable', reason: 'it is a symbolic link, which could lead out of the tree' };
    if (stats.isDirectory()) return { kind: 'missing' };
    // Reading a FIFO would wait for its writer.
    if (!stats.isFile()) return { kind: 'unusable', reason: 'it is not a regular file' };
    if (stats.size > mostValueBytes)
      return { kind: 'unusable', reason: `it has ${stats.size} bytes, more than 1.5 MiB` };
    const bytes = await readFile(path);
    return { kind: 'value', value: new TextDecoder('utf-8', { fatal: true }).decode(bytes), file: fileStamp(stats) };
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' };
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { kind: 'unusable', reason: 'it is not UTF-8 text' };
    return { kind: 'unusable', reason: `it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The value as a hand means it: `echo` and editors end a file with a newline. */
export const withoutFinalNewline = (text: string): string => text.replace(/\r?\n$/, '');

/** Writes a value beside the tree, synced and with its stamp chosen, ready to be renamed into it. */
export async function writeTemporary(
  path: string,
  value: string,
  wallMs: number,
  random: () => number,
): Promise<string> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(value);
    const seconds = (Math.floor(wallMs) + random()) / 1000;
    await handle.utimes(seconds, seconds);
    await handle.sync();
    return fileStamp(await handle.stat({ bigint: true }));
  } catch (error) {
    await unlink(path).catch(() => {});
    throw error;
  } finally {
    await handle.close();
  }
}

export type ListHooks = {
  /** Called with each folder before it is listed. */
  readonly onFolder: (folder: string) => void;
  /** Called with a file or folder that is no part of the registry. */
  readonly onIgnored: (key: string, reason: string) => void;
};

/** How many files are looked at together. */
export const filesAtOnce = 16;
export const notAKey = 'its name is not allowed in a key';

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
