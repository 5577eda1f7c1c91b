import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from '../../model/fault.ts';

/** The nearest folder that exists, and its rights. */
export type ExistingFolder = { readonly path: string; readonly uid: number; readonly mode: number };

/** What to do when the folder of `--dir` cannot be written. */
export async function hintForUnwritable(path: string, error: unknown): Promise<string> {
  return unwritableHint(errorCode(error), await existing(path), process.getuid?.() ?? 0);
}

export function unwritableHint(code: string | undefined, folder: ExistingFolder | undefined, uid: number): string {
  const other = 'choose a writable folder with --dir';
  if (code === 'EROFS') {
    return `${other}; in a container with a read-only root, mount a volume or a tmpfs there, such as \`docker run --tmpfs DIR:mode=1777\``;
  }
  if (folder === undefined || (code !== 'EACCES' && code !== 'EPERM')) return other;
  const { path } = folder;
  const mode = (folder.mode & 0o7777).toString(8).padStart(4, '0');
  return (
    `${path} belongs to user ${folder.uid} with mode ${mode}, but pointsman runs as user ${uid}: run ` +
    `\`chown ${uid} ${path}\`, or give a container's tmpfs the mode 1777 (\`docker run --tmpfs ${path}:mode=1777\`), or ${other}`
  );
}

async function existing(path: string): Promise<ExistingFolder | undefined> {
  const there = await stat(path).catch(() => undefined);
  if (there !== undefined) return { path, uid: there.uid, mode: there.mode };
  return dirname(path) === path ? undefined : existing(dirname(path));
}
