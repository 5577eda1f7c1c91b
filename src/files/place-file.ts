import { constants } from 'node:fs';
import { lstat, open, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { correctOwnership, type Ownership, openRegular, type StagedFile, stageFile } from '../fs/replace-file.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { stagedMark } from '../settings/file-declaration.ts';
import { compare, hasText, withCurrent } from './current-file.ts';
import { type FileJob, isOfConfd, keptMode } from './file-job.ts';
import type { FileText } from './file-template.ts';
import type { KnownDestinations } from './known-destinations.ts';
import { type Destination, type LastLink, openDestination } from './open-destination.ts';
import type { CommandResult } from './run-command.ts';
import { stageAtOnce } from './stage-at-once.ts';

export type Placed = {
  readonly what: 'unchanged' | 'permissions' | 'replaced';
  /** Why the file was overwritten in its place instead of being replaced by another; undefined when it was not. */
  readonly inPlace: string | undefined;
  /** Why the file does not have the owner that it should have, but pointsman's own user; undefined when it has it. */
  readonly ownerRefused?: string | undefined;
  /** The file was replaced, now or by an earlier process, and its reload has not succeeded since. */
  readonly reloadDue: boolean;
};

export type PlaceParts = {
  readonly run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>;
  /** Does work on the disk in its turn. */
  readonly disk: <T>(work: () => Promise<T>) => Promise<T>;
  readonly destinations: KnownDestinations;
};

/** A new text that waits for its check; `inPlace` says why it cannot replace the file. */
type Staged = {
  readonly file: StagedFile;
  readonly inPlace: string | undefined;
  readonly ownerRefused?: string | undefined;
};

/** The file that is there is to stay. */
type Kept = { readonly kept: 'unchanged' | 'permissions'; readonly ownerRefused?: string | undefined };

/**
 * Brings a file to this text: nothing is written when it has it already, and nothing replaces it that its check refuses.
 * Rejects with Fault `storage` or `command-failed`; the old file is there then as before.
 */
export async function placeFile(
  job: FileJob,
  made: FileText,
  { run, disk, destinations }: PlaceParts,
): Promise<Placed> {
  const text = asBytes(made);
  const at = await disk(() => destinations.open(job.dest, lastLinkOf(job)));
  try {
    if (job.keepStaged === true) await disk(() => keep(at, stagedName(at), text, job.ownership));
    const staged = await disk(() => stage(job, at, text));
    const { ownerRefused } = staged;
    if ('kept' in staged) {
      return { what: staged.kept, inPlace: undefined, ownerRefused, reloadDue: await isMarked(at) };
    }
    try {
      await check(job, at, text, staged, run);
      const inPlace = await disk(() => commit(job, at, text, staged));
      return { what: 'replaced', inPlace, ownerRefused, reloadDue: job.reload !== undefined };
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
  const at = await openDestination(job.dest, 'leave', lastLinkOf(job)).catch(() => undefined);
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
async function stage(job: FileJob, at: Destination, text: Buffer): Promise<Staged | Kept> {
  const atOnce = await stageAtOnce(job, at, text);
  if (atOnce !== undefined) return { file: atOnce, inPlace: undefined };
  const found = await compare(job, at, text);
  if (found.kind === 'unchanged' || found.kind === 'permissions') return { kept: found.kind };
  const { mode, uid, gid } = job.ownership;
  const kept = found.kind === 'another' ? found.keeps : {};
  const wanted = { mode: mode ?? kept.mode, uid: uid ?? kept.uid, gid: gid ?? kept.gid };
  try {
    return { file: await stageFile(at.path, text, wanted, undefined, at.folder), inPlace: undefined };
  } catch (error) {
    if (isOfConfd(job) && isOwnerRefused(error)) return stageAsOurs(job, at, text, wanted.mode);
    const inPlace = found.kind === 'missing' ? undefined : whyInPlace(error);
    if (inPlace === undefined) throw error;
    return { file: await stageFile(join(tmpdir(), at.name), text, { mode: 0o600 }), inPlace };
  }
}

/**
 * Does what confd does when it may not give a file its owner: the file belongs to its own user then. One that does so already, and has the
 * text and the mode, stays.
 */
async function stageAsOurs(
  job: FileJob,
  at: Destination,
  text: Buffer,
  mode: number | undefined,
): Promise<Staged | Kept> {
  const { uid = 'its user', gid = 'its group' } = job.ownership;
  const ownerRefused =
    job.ownership.uid === undefined && job.ownership.gid === undefined
      ? 'only root can keep the owner of the file that was there'
      : `only root can give it to ${uid}:${gid}`;
  const ours = { mode: job.ownership.mode, uid: process.geteuid?.() };
  const { kind } = await compare({ ...job, ownership: ours }, at, text);
  if (kind === 'unchanged') return { kept: kind, ownerRefused };
  const file = await stageFile(at.path, text, { ...ours, mode, gid: process.getegid?.() }, undefined, at.folder);
  return { file, inPlace: undefined, ownerRefused };
}

/** Whether the system did not allow a change of the owner, or knows no such owner (in a container with users of its own). */
function isOwnerRefused(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  const isChown = cause instanceof Error && 'syscall' in cause && /chown$/.test(String(cause.syscall));
  return isChown && ['EPERM', 'EINVAL'].includes(errorCode(cause) ?? '');
}

async function check(
  job: FileJob,
  at: Destination,
  text: Buffer,
  { file }: Pick<Staged, 'file'>,
  run: PlaceParts['run'],
) {
  if (job.check === undefined) return;
  const checked = await run(withStaged(job.check, file.path), job.timeoutMs);
  if (checked.ok) return;
  // confd keeps nothing, and the text may have secrets; --keep-stage-file is the way to see it.
  const kept = isOfConfd(job) ? undefined : await keep(at, refusedName(at), text, job.ownership).catch(() => undefined);
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
    if (inPlace !== undefined) await overwrite(job, at, text);
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
    throw new Fault('storage', `the folder of the file is not writable: ${describe(cause)}`, { where: at.path, cause });
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
async function overwrite(job: FileJob, at: Destination, text: Buffer): Promise<void> {
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
      const mode = job.ownership.mode ?? keptMode(job, (await file.stat()).mode);
      await correctOwnership(file, { ...job.ownership, mode }).catch((error: unknown) => {
        // confd takes a file that it may write, whoever owns it.
        if (!isOfConfd(job) || errorCode(error) !== 'EPERM') throw error;
      });
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

/** confd replaces a link by a file; for all others a link is another name of the file. */
const lastLinkOf = (job: FileJob): LastLink => (isOfConfd(job) ? 'replace' : 'follow');

const asBytes = (text: FileText): Buffer => (typeof text === 'string' ? Buffer.from(text) : text);

/** Keeps the text that would be made beside the file, if there is the folder for it. */
export async function keepStaged(job: FileJob, text: FileText): Promise<void> {
  const at = await openDestination(job.dest, 'leave', lastLinkOf(job));
  if (at === undefined) return;
  try {
    await keep(at, stagedName(at), asBytes(text), job.ownership);
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
