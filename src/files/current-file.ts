import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { correctOwnership, type Ownership, openRegular } from '../fs/replace-file.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import { type FileJob, isOfConfd, keptMode } from './file-job.ts';
import { type Destination, openDestination } from './open-destination.ts';

/** The file that is there, compared with the text that it is to have. */
export type Comparison =
  /** `permissions`: its mode or owner was set, and nothing else had to be done. */
  | { readonly kind: 'unchanged' | 'permissions' }
  | { readonly kind: 'missing' }
  /** `keeps`: the mode and the owner that the next file takes from it. */
  | { readonly kind: 'another'; readonly keeps: Ownership };

/**
 * Compares a file with its text. When only its mode or its owner differs it is corrected; a file of confd is another file then, because
 * confd replaces it, after its check and with its reload. Rejects with Fault `storage`.
 */
export async function compare(job: FileJob, at: Destination, text: Buffer): Promise<Comparison> {
  const file = await openCurrent(at, isOfConfd(job) ? 'is replaced' : 'is refused');
  if (file === 'missing') return { kind: 'missing' };
  if (file === 'link') return compareTarget(job, text);
  if (file === 'unreadable') {
    const found = await lstat(join(at.folder, at.name)).catch(() => undefined);
    return { kind: 'another', keeps: found?.isFile() ? ownershipOf(job, found) : {} };
  }
  try {
    const found = await file.stat();
    const another = { kind: 'another', keeps: ownershipOf(job, found) } as const;
    // It may be somebody else's file too, which has its own mode and owner.
    if (!(await hasText(file, text, found)) || found.nlink > 1) return another;
    if (isOfConfd(job)) return isOwned(job, found) ? { kind: 'unchanged' } : another;
    return { kind: (await correctOwnership(file, job.ownership)) ? 'permissions' : 'unchanged' };
  } catch (cause) {
    const what = `its mode or owner cannot be read or changed: ${describe(cause)}`;
    throw new Fault('storage', what, { where: at.path, cause });
  } finally {
    await file.close();
  }
}

/** Compares the file that a symbolic link leads to. The link is replaced by a file unless the target is as the file should be. */
async function compareTarget(job: FileJob, text: Buffer): Promise<Comparison> {
  const at = await openDestination(job.dest, 'leave').catch(() => undefined);
  const none = { kind: 'another', keeps: {} } as const;
  if (at === undefined) return none;
  try {
    const found = await openCurrent(at, 'is refused').catch(() => undefined);
    if (found === undefined || typeof found === 'string') return none;
    try {
      const target = await found.stat();
      if ((await hasText(found, text, target)) && isOwned(job, target)) return { kind: 'unchanged' };
      return { kind: 'another', keeps: { mode: keptMode(job, target.mode) } };
    } finally {
      await found.close();
    }
  } finally {
    await at.close();
  }
}

/** Runs `use` with the file that is there, open; with undefined when there is none. Rejects with Fault `storage`. */
export async function withCurrent<T>(
  at: Destination,
  use: (file: FileHandle | undefined) => T | Promise<T>,
): Promise<T> {
  const file = await openCurrent(at, 'is refused');
  if (typeof file === 'string') return use(undefined);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Whether a file has exactly this text. A file of another size is not read, however large somebody made it. */
export async function hasText(file: FileHandle, wanted: Buffer, found?: Stats): Promise<boolean> {
  const { size } = found ?? (await file.stat());
  if (size !== wanted.length) return false;
  const text = Buffer.allocUnsafe(wanted.length);
  for (let done = 0; done < size; ) {
    const { bytesRead } = await file.read(text, done, size - done, done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return text.equals(wanted);
}

/**
 * Opens the file that is there, without waiting for a pipe and without following a link. `other`: what becomes of a link, and of a file
 * that pointsman may not read.
 */
async function openCurrent(
  { path, folder, name }: Destination,
  other: 'is replaced' | 'is refused',
): Promise<FileHandle | 'missing' | 'link' | 'unreadable'> {
  try {
    return await openRegular(join(folder, name), constants.O_RDONLY);
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return 'missing';
    if (errorCode(cause) === 'ELOOP' && other === 'is replaced') return 'link';
    if (errorCode(cause) === 'EACCES' && other === 'is replaced') return 'unreadable';
    throw new Fault('storage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}

const ownershipOf = (job: FileJob, { mode, uid, gid }: Stats): Ownership => ({ mode: keptMode(job, mode), uid, gid });

function isOwned(job: FileJob, found: Stats): boolean {
  const { mode = keptMode(job, found.mode), uid = found.uid, gid = found.gid } = job.ownership;
  return mode === (found.mode & 0o7777) && uid === found.uid && gid === found.gid;
}
