import { constants } from 'node:fs';
import { type FileHandle, lstat, open, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { correctOwnership, type Ownership, openRegular, type StagedFile, stageFile } from '../fs/replace-file.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { type FileDeclaration, stagedMark } from '../settings/file-declaration.ts';
import type { FileText } from './file-template.ts';
import { type Destination, openDestination } from './open-destination.ts';
import type { CommandResult } from './run-command.ts';

/** A declaration whose owner is known to the machine. */
export type FileJob = FileDeclaration & {
  readonly ownership: Ownership;
  /** Why the file cannot be made, whatever its template. */
  readonly refused?: Fault | undefined;
};

export type Placed = {
  readonly what: 'unchanged' | 'permissions' | 'replaced';
  /** Why the file was overwritten in its place instead of being replaced by another; undefined when it was not. */
  readonly inPlace: string | undefined;
  /** The file was replaced, now or by an earlier process, and its reload has not succeeded since. */
  readonly reloadDue: boolean;
};

export type PlaceParts = {
  readonly run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>;
  /** Does work on the disk in its turn. */
  readonly disk: <T>(work: () => Promise<T>) => Promise<T>;
};

/** A new text that waits for its check; `inPlace` says why it cannot replace the file. */
type Staged = { readonly file: StagedFile; readonly inPlace: string | undefined };

/**
 * Brings a file to this text: nothing is written when it has it already, and nothing replaces it that its check refuses.
 * Rejects with Fault `storage` or `command-failed`; the old file is there then as before.
 */
export async function placeFile(job: FileJob, made: FileText, { run, disk }: PlaceParts): Promise<Placed> {
  const text = asBytes(made);
  const at = await disk(() => openDestination(job.dest, 'make'));
  try {
    if (job.keepStaged === true) await disk(() => keep(at, stagedName(at), text, job.ownership));
    const staged = await disk(() => stage(job, at, text));
    if (typeof staged === 'string') return { what: staged, inPlace: undefined, reloadDue: await isMarked(at) };
    try {
      await check(job, at, text, staged, run);
      const inPlace = await disk(() => commit(job, at, text, staged));
      return { what: 'replaced', inPlace, reloadDue: job.reload !== undefined };
    } finally {
      // A file that was renamed is not there any more.
      await staged.file.discard();
    }
  } finally {
    await at.close();
  }
}

/** The reload for this file succeeded. */
export async function reloadDone(job: FileJob): Promise<void> {
  const at = await openDestination(job.dest, 'leave').catch(() => undefined);
  if (at === undefined) return;
  await unmark(at);
  await at.close();
}

/** The text of the file as it is now; undefined when there is none. Rejects with Fault `storage`. */
export async function readDestination(dest: string): Promise<string | undefined> {
  const at = await openDestination(dest, 'leave');
  if (at === undefined) return undefined;
  try {
    return await withCurrent(at, (file) => file?.readFile('utf8'));
  } finally {
    await at.close();
  }
}

/** A text that differs as soon as somebody changes the file, its mode or its owner, or removes it. Never rejects. */
export async function traceOf(dest: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(dest, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (cause) {
    return errorCode(cause) === 'ENOENT' ? 'missing' : describe(cause);
  }
}

/** Writes the text beside the file, unless the file has it already. */
async function stage(job: FileJob, at: Destination, text: Buffer): Promise<Staged | 'unchanged' | 'permissions'> {
  const found = await withCurrent(at, async (file) => {
    if (file === undefined) return 'missing';
    if (!(await hasText(file, text))) return 'another';
    // It may be somebody else's file too, which has its own mode and owner.
    if ((await file.stat()).nlink > 1) return 'another';
    try {
      return (await correctOwnership(file, job.ownership)) ? 'permissions' : 'unchanged';
    } catch (cause) {
      const what = `its mode or owner cannot be changed: ${describe(cause)}`;
      throw new Fault('storage', what, { where: at.path, cause });
    }
  });
  if (found === 'permissions' || found === 'unchanged') return found;
  try {
    return { file: await stageFile(at.path, text, job.ownership, undefined, at.folder), inPlace: undefined };
  } catch (error) {
    const inPlace = found === 'missing' ? undefined : whyInPlace(error);
    if (inPlace === undefined) throw error;
    return { file: await stageFile(join(tmpdir(), at.name), text, { mode: 0o600 }), inPlace };
  }
}

async function check(job: FileJob, at: Destination, text: Buffer, { file }: Staged, run: PlaceParts['run']) {
  if (job.check === undefined) return;
  const checked = await run(withStaged(job.check, file.path), job.timeoutMs);
  if (checked.ok) return;
  const kept = await keep(at, refusedName(at), text, job.ownership).catch(() => undefined);
  const said = checked.output === '' ? 'it said nothing' : checked.output;
  throw new Fault('command-failed', `the check refuses the new file: ${checked.reason}: ${said}`, {
    where: job.dest,
    hint: kept === undefined ? 'the old file stays' : `it is kept as ${kept}; the old file stays`,
  });
}

/** Resolves with why it was written in place, if it was. */
async function commit(job: FileJob, at: Destination, text: Buffer, staged: Staged): Promise<string | undefined> {
  // Before the file, so that a reload that never ran is known after a crash.
  const marked = job.reload !== undefined && (await markReload(at, staged.inPlace));
  try {
    let { inPlace } = staged;
    if (inPlace === undefined) {
      await staged.file.commit().catch((error: unknown) => {
        inPlace = whyInPlace(error);
        if (inPlace === undefined) throw error;
      });
    }
    if (inPlace !== undefined) await overwrite(at, text, job.ownership);
    await unlink(join(at.folder, refusedName(at))).catch(() => undefined);
    return inPlace;
  } catch (error) {
    // An error after the rename leaves the new file there, and its reload due.
    const isThere = await withCurrent(at, (file) => file !== undefined && hasText(file, text)).catch(() => false);
    if (marked && !isThere) await unmark(at);
    throw error;
  }
}

/** Resolves with whether the mark is new. A folder in which nothing can be made has none. */
async function markReload(at: Destination, inPlace: string | undefined): Promise<boolean> {
  try {
    return await mark(at);
  } catch (cause) {
    if (inPlace !== undefined) return false;
    throw new Fault('storage', `nothing can be written beside it: ${describe(cause)}`, { where: at.path, cause });
  }
}

/** Why a file can only be overwritten: it is mounted by itself, or its folder takes no new files. */
function whyInPlace(error: unknown): string | undefined {
  const code = errorCode(error instanceof Fault ? error.cause : error);
  if (code === 'EBUSY' || code === 'EXDEV') return `it is mounted as a single file (${code})`;
  if (code === 'EROFS' || code === 'EACCES') return `its folder takes no new files (${code})`;
  return undefined;
}

/** Overwrites a file that cannot be replaced. Brings its old text back when the disk does not take the new one. */
async function overwrite(at: Destination, text: Buffer, ownership: Ownership): Promise<void> {
  try {
    const file = await openRegular(join(at.folder, at.name), constants.O_RDWR);
    try {
      const before = await file.readFile();
      const write = async (content: Buffer) => {
        for (let done = 0; done < content.length; ) {
          done += (await file.write(content, done, content.length - done, done)).bytesWritten;
        }
        await file.truncate(content.length);
        await file.sync();
      };
      try {
        await write(text);
      } catch (error) {
        await write(before);
        throw error;
      }
      await correctOwnership(file, ownership);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new Fault('storage', `it cannot be overwritten: ${describe(cause)}`, { where: at.path, cause });
  }
}

// Hidden and in the file's own folder: whoever may write the one may write the other, and no `include` finds them.
const refusedName = ({ name }: Destination): string => `.${name}.refused`;
const stagedName = ({ name }: Destination): string => `.${name}.staged`;

const asBytes = (text: FileText): Buffer => (typeof text === 'string' ? Buffer.from(text) : text);

/** Runs `use` with the file that is there, open; with undefined when there is none. Rejects with Fault `storage`. */
async function withCurrent<T>(
  { path, folder, name }: Destination,
  use: (file: FileHandle | undefined) => T | Promise<T>,
): Promise<T> {
  const file = await openRegular(join(folder, name), constants.O_RDONLY).catch((cause: unknown) => {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Fault('storage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  });
  try {
    return await use(file);
  } finally {
    await file?.close();
  }
}

async function hasText(file: FileHandle, wanted: Buffer): Promise<boolean> {
  // A file of another size need not be read, however large somebody made it.
  return (await file.stat()).size === wanted.length && (await file.readFile()).equals(wanted);
}

/** Keeps the text that would be made beside the file, if there is the folder for it. */
export async function keepStaged({ dest, ownership }: FileJob, text: FileText): Promise<void> {
  const at = await openDestination(dest, 'leave');
  if (at === undefined) return;
  try {
    await keep(at, stagedName(at), asBytes(text), ownership);
  } finally {
    await at.close();
  }
}

/** Resolves with where it is kept. A file of that name that somebody else made has no say in who may read it. */
async function keep(at: Destination, name: string, text: Buffer, { mode }: Ownership): Promise<string> {
  const path = join(dirname(at.path), name);
  const ours = { mode: (mode ?? 0o644) & 0o640, uid: process.geteuid?.(), gid: process.getegid?.() };
  await (await stageFile(path, text, ours, undefined, at.folder)).commit();
  return path;
}

const withStaged = ([file, ...args]: CommandLine, path: string): CommandLine => {
  const fill = (word: string) => word.replaceAll(stagedMark, path);
  return [fill(file), ...args.map(fill)];
};

/** `.NAME.reload-due`: the file was replaced, and its reload has not succeeded since. Outlives the process. */
const markOf = ({ folder, name }: Destination): string => join(folder, `.${name}.reload-due`);

async function isMarked(at: Destination): Promise<boolean> {
  const found = await lstat(markOf(at)).catch(() => undefined);
  return found?.isFile() ?? false;
}

/** Resolves with whether the mark is new. Whatever else has its name is removed, and not followed. */
async function mark(at: Destination): Promise<boolean> {
  if (await isMarked(at)) return false;
  const make = async () => (await open(markOf(at), 'wx', 0o644)).close();
  await make().catch(async (cause: unknown) => {
    if (errorCode(cause) !== 'EEXIST') throw cause;
    await unlink(markOf(at));
    await make();
  });
  return true;
}

async function unmark(at: Destination): Promise<void> {
  await unlink(markOf(at)).catch(() => undefined);
}
