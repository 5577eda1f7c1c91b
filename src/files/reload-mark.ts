import { lstat, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../model/fault.ts';
import type { Destination } from './open-destination.ts';

/** `.NAME.reload-due`: the file was replaced, and its reload has not succeeded since. Outlives the process. */
const markOf = ({ folder, name }: Destination): string => join(folder, `.${name}.reload-due`);

export async function isMarked(at: Destination): Promise<boolean> {
  const found = await lstat(markOf(at)).catch(() => undefined);
  return found?.isFile() ?? false;
}

/** Resolves with whether the mark is new. Whatever else has its name is removed, and not followed. */
export async function mark(at: Destination): Promise<boolean> {
  if (await isMarked(at)) return false;
  const make = async () => (await open(markOf(at), 'wx', 0o644)).close();
  await make().catch(async (cause: unknown) => {
    if (errorCode(cause) !== 'EEXIST') throw cause;
    await unlink(markOf(at));
    await make();
  });
  return true;
}

export async function unmark(at: Destination): Promise<void> {
  await unlink(markOf(at)).catch(() => undefined);
}
