import { mkdir, readFile, realpath, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, Fault } from '../model/fault.ts';
import type { CommandLine } from '../settings/command-line.ts';
import { type FileDeclaration, stagedMark } from '../settings/file-declaration.ts';
import { correctOwnership, type Ownership, replaceFile, stageFile } from './replace-file.ts';
import type { CommandResult } from './run-command.ts';

/** A declaration whose owner is known to the machine. */
export type FileJob = FileDeclaration & { readonly ownership: Ownership };

export type Placed = 'unchanged' | 'permissions' | 'replaced';

/**
 * Brings a file to this text: nothing is written when it has it already, and nothing replaces it that its check refuses.
 * Rejects with Fault `storage` or `command-failed`; the old file is there then as before.
 */
export async function placeFile(
  job: FileJob,
  text: string,
  run: (command: CommandLine, timeoutMs: number) => Promise<CommandResult>,
): Promise<Placed> {
  const path = await targetOf(job.dest);
  const current = await readCurrent(path);
  if (current === text) return (await correctOwnership(path, job.ownership)) ? 'permissions' : 'unchanged';
  if (current === undefined) await makeFolder(path);
  const staged = await stageFile(path, text, job.ownership);
  try {
    if (job.check !== undefined) {
      const checked = await run(withStaged(job.check, staged.path), job.timeoutMs);
      if (!checked.ok) {
        await keepRefused(path, text, job.ownership);
        const said = checked.output === '' ? 'it said nothing' : checked.output;
        throw new Fault('command-failed', `the check refuses the new file: ${checked.reason}: ${said}`, {
          where: job.dest,
          hint: `it is kept as ${refusedPath(path)}; the old file stays`,
        });
      }
    }
    // Before the file, so that a reload that never ran is known after a crash.
    if (job.reload !== undefined) await writeFile(reloadMark(path), '');
  } catch (error) {
    await staged.discard();
    throw error;
  }
  await staged.commit();
  await unlink(refusedPath(path)).catch(() => undefined);
  return 'replaced';
}

/** Whether the file was replaced, by an earlier process too, and its reload did not succeed since. */
export async function isReloadDue(job: FileJob): Promise<boolean> {
  return readFile(reloadMark(await targetOf(job.dest))).then(
    () => true,
    () => false,
  );
}

export async function reloadDone(job: FileJob): Promise<void> {
  await unlink(reloadMark(await targetOf(job.dest))).catch(() => undefined);
}

/** The text of the file as it is now; undefined when there is none. Rejects with Fault `storage`. */
export async function readDestination(dest: string): Promise<string | undefined> {
  return readCurrent(await targetOf(dest));
}

// Hidden and in the file's own folder: whoever may write the one may write the other, and no `include` finds them.
const refusedPath = (path: string): string => join(dirname(path), `.${basename(path)}.refused`);
const reloadMark = (path: string): string => join(dirname(path), `.${basename(path)}.reload-due`);

/** Through a symbolic link, as Debian has them in sites-enabled: it is the file that is replaced and not the link. */
async function targetOf(dest: string): Promise<string> {
  return realpath(dest).catch(() => dest);
}

async function readCurrent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new Fault('storage', `it cannot be read: ${describe(cause)}`, { where: path, cause });
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  } catch (cause) {
    throw new Fault('storage', `its folder cannot be made: ${describe(cause)}`, { where: path, cause });
  }
}

async function keepRefused(path: string, text: string, { mode }: Ownership): Promise<void> {
  await replaceFile(refusedPath(path), text, { mode: (mode ?? 0o644) & 0o640 });
}

const withStaged = ([file, ...args]: CommandLine, path: string): CommandLine => {
  const fill = (word: string) => word.replaceAll(stagedMark, path);
  return [fill(file), ...args.map(fill)];
};
