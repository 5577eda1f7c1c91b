import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../model/error-code.ts';
import { describe, Fault } from '../model/fault.ts';

/** Mode and owner that a file is to have; what is left out is taken from the file that is there. */
export type Ownership = {
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
};

/** What a file is to say. One that is long comes in pieces: while a piece is written, others have their turn. */
type Text = string | Iterable<string>;

/** A file written in full beside the one that it is to replace. */
export type StagedFile = {
  readonly path: string;
  /** Puts it in the other's place. Rejects with Fault `storage`. */
  readonly commit: () => Promise<void>;
  readonly discard: () => Promise<void>;
};

/**
 * Replaces a file so that a reader, or a crash, sees the old text or the new one and nothing between: written beside it,
 * synced, renamed. Mode and owner of a file that is there are kept; `mode` is a new one's. Rejects with Fault `storage`.
 */
export async function replaceFile(path: string, text: Text, { mode = 0o644 } = {}): Promise<void> {
  const staged = await stageFile(path, text, {}, mode);
  await staged.commit();
}

/**
 * Writes what is to replace `path` into a hidden file beside it: on the same file system, and where no `include *.conf`
 * or `include *` takes it for its own. `folder` is another name of its folder, by which it is reached. Rejects with Fault
 * `storage`, and leaves nothing behind then.
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
    // A symbolic link is replaced, not followed: whatever it names has no say.
    const there = await lstat(target).catch(() => undefined);
    const before = there?.isFile() ? there : undefined;
    const mode = wanted.mode ?? (before === undefined ? undefined : before.mode & 0o7777);
    // Nobody else may read it before it is known who may. The umask has a say in a mode that nobody asked for.
    const file = await open(staged, 'wx', mode === undefined ? newMode : mode & 0o600);
    try {
      await writeFile(file, text);
      const self = { uid: process.geteuid?.(), gid: process.getegid?.() };
      const uid = wanted.uid ?? before?.uid ?? self.uid;
      const gid = wanted.gid ?? before?.gid ?? self.gid;
      if (uid !== undefined && gid !== undefined && (uid !== self.uid || gid !== self.gid)) await file.chown(uid, gid);
      // After the owner, for a change of owner takes set-id bits away.
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

/** Gives an open file the mode and owner that it is to have. Resolves with whether it had others. */
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

/** What an error of the file system means here that its own words do not say. */
function hintFor(cause: unknown): string | undefined {
  const code = errorCode(cause);
  if (code === 'EBUSY') return 'a single file that is mounted cannot be replaced: mount its folder instead';
  if (code === 'EPERM') return 'another owner can be given by root only';
  return undefined;
}

/** The rename itself is on disk only once the folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
