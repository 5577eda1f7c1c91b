import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type StagedFile, syncFolder } from '../fs/replace-file.ts';
import { type FileJob, keptMode } from './file-job.ts';
import type { Destination } from './open-destination.ts';

const syncFile = promisify(fsync);
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Text of more bytes is written by the threads of Node. */
const mostBytes = 1_000_000;

/**
 * Does what `compare` and `stageFile` do, in the plain case, with one wait: that for the disk. Each call that waits takes its time
 * until a thread is free and until it is this process's turn again, ten times as long as the call itself. Only for a disk of this
 * machine, which does not leave a call without an answer. Undefined: the file is not in the plain case, or there was an error, so it is to
 * be staged in the usual way, which tells all cases apart.
 */
export async function stageAtOnce(job: FileJob, at: Destination, text: Buffer): Promise<StagedFile | undefined> {
  if (!at.isLocal || text.length > mostBytes) return undefined;
  const before = otherText(join(at.folder, at.name), text);
  if (before === undefined) return undefined;
  const name = `.${at.name}.${randomBytes(6).toString('hex')}`;
  const staged = join(at.folder, name);
  try {
    const { mode = keptMode(job, before.mode), uid = before.uid, gid = before.gid } = job.ownership;
    await write(staged, text, { mode, uid, gid });
  } catch {
    remove(staged);
    return undefined;
  }
  return {
    path: join(dirname(at.path), name),
    commit: async () => {
      renameSync(staged, join(at.folder, at.name));
      await syncFolder(at.folder);
    },
    discard: async () => remove(staged),
  };
}

/** What is known of the file that is there, if it is a plain file with another text. */
function otherText(path: string, text: Buffer): Stats | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const found = fstatSync(file);
    if (!found.isFile() || found.nlink > 1) return undefined;
    if (found.size !== text.length) return found;
    const there = Buffer.allocUnsafe(text.length);
    const bytes = readSync(file, there, 0, text.length, 0);
    return bytes === text.length && there.equals(text) ? undefined : found;
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

type Owned = { readonly mode: number; readonly uid: number; readonly gid: number };

async function write(path: string, text: Buffer, { mode, uid, gid }: Owned): Promise<void> {
  // No other user may read it until it has its owner.
  const file = openSync(path, 'wx', mode & 0o600);
  try {
    for (let done = 0; done < text.length; ) done += writeSync(file, text, done);
    if (uid !== process.geteuid?.() || gid !== process.getegid?.()) fchownSync(file, uid, gid);
    // After chown, because chown clears the set-id bits.
    fchmodSync(file, mode);
    await syncFile(file);
  } finally {
    closeSync(file);
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was renamed, or never made.
  }
}
