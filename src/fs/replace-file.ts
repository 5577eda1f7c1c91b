import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, errorCode, Fault } from '../model/fault.ts';

/** Mode and owner that a file gets. A field that is left out is taken from the file that exists. */
export type Ownership = {
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
};

/** The text of a file. A long one comes in pieces: between two pieces the event loop does other work. */
type Text = string | Buffer | Iterable<string>;

/** A file that is written completely, next to the file that it will replace. */
export type StagedFile = {
  readonly path: string;
  /** Replaces the other file. Rejects with Fault `storage`. */
  readonly commit: () => Promise<void>;
  readonly discard: () => Promise<void>;
};

/**
 * Replaces a file so that a reader sees the old text or the new one, also after a crash: it writes a file next to it, syncs it and
 * renames it. An existing file keeps its mode and owner; a new file gets `mode`. Rejects with Fault `storage`.
 */
export async function replaceFile(path: string, text: Text, { mode = 0o644 } = {}): Promise<void> {
  const staged = await stageFile(path, text, {}, mode);
  await staged.commit();
}

/**
 * Writes the text that will replace `path` into a hidden file next to it: the file system is the same, and `include *.conf` and
 * `include *` do not match the name. `folder` is another path of its folder, to write through. Rejects with Fault `storage` and
 * deletes the hidden file then.
 */
export async function stageFile(
  path: string,
  text: Text,
  wanted: Ownership,
  newMode = 0o644,
  folder = dirname(path),
): Promise<StagedFile> {
  const name = `.${basename(path)}.${randomBytes(6).toString('hex')}`;
  const staged = join(folder, name);
  const target = join(folder, basename(path));
  const discard = () => unlink(staged).catch(() => undefined);
  const failed = async (cause: unknown): Promise<never> => {
    await discard();
    throw new Fault('storage', `it cannot be written: ${describe(cause)}`, {
      where: path,
      hint: hintFor(cause),
      cause,
    });
  };
  try {
    // A symbolic link is replaced, not followed: mode and owner of its target do not count.
    const isGiven = wanted.mode !== undefined && wanted.uid !== undefined && wanted.gid !== undefined;
    const there = isGiven ? undefined : await lstat(target).catch(() => undefined);
    const before = there?.isFile() ? there : undefined;
    const mode = wanted.mode ?? (before === undefined ? undefined : before.mode & 0o7777);
    // No other user may read it until it has its owner. The umask applies only to the default mode.
    const file = await open(staged, 'wx', mode === undefined ? newMode : mode & 0o600);
    try {
      await writeFile(file, text);
      const self = { uid: process.geteuid?.(), gid: process.getegid?.() };
      const uid = wanted.uid ?? before?.uid ?? self.uid;
      const gid = wanted.gid ?? before?.gid ?? self.gid;
      if (uid !== undefined && gid !== undefined && (uid !== self.uid || gid !== self.gid)) await file.chown(uid, gid);
      // After chown, because chown clears the set-id bits.
      if (mode !== undefined) await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    return failed(cause);
  }
  const commit = async () => {
    try {
      await rename(staged, target);
      await syncFolder(folder);
    } catch (cause) {
      await failed(cause);
    }
  };
  return {
    path: join(dirname(path), name),
    commit,
    discard: async () => void (await discard()),
  };
}

/** Gives an open file this mode and owner. Returns whether it had others. */
export async function correctOwnership(file: FileHandle, { mode, uid, gid }: Ownership): Promise<boolean> {
  const before = await file.stat();
  const wrongOwner = (uid ?? before.uid) !== before.uid || (gid ?? before.gid) !== before.gid;
  const wrongMode = mode !== undefined && mode !== (before.mode & 0o7777);
  if (wrongOwner) await file.chown(uid ?? before.uid, gid ?? before.gid);
  if (wrongMode) await file.chmod(mode);
  return wrongOwner || wrongMode;
}

/** Opens a file that exists: a symbolic link is not followed, and a pipe or a device is not waited for. */
export async function openRegular(path: string, access: number): Promise<FileHandle> {
  const file = await open(path, access | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A hint for an error whose message does not name its cause. */
function hintFor(cause: unknown): string | undefined {
  const code = errorCode(cause);
  if (code === 'EBUSY') return 'a single file that is mounted cannot be replaced: mount its folder instead';
  if (code === 'EPERM') return 'only root can change the owner of a file';
  return undefined;
}

/** Without it a crash could undo the rename. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
