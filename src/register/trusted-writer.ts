import { type BigIntStats, constants } from 'node:fs';
import { access, lstat, realpath, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

/** Why a command in a file is not run, and how to correct that. */
export type Doubt = { readonly reason: string; readonly hint: string };

type Seen = Pick<BigIntStats, 'uid' | 'mode'>;

/**
 * Why another user than root and `self` may have written this file, or the names in this folder; undefined when no other can.
 * `what` begins the sentence.
 */
export function doubtOf(what: string, { uid, mode }: Seen, self: number): string | undefined {
  if (uid !== 0n && uid !== BigInt(self)) return `${what} belongs to user ${uid}`;
  if ((mode & 0o020n) !== 0n && (mode & 0o002n) !== 0n) return `${what} can be written by its group and by others`;
  if ((mode & 0o020n) !== 0n) return `${what} can be written by its group`;
  return (mode & 0o002n) === 0n ? undefined : `${what} can be written by others`;
}

/** Whether others than root and the agent's own user can put files into the folder of declarations. */
export async function doubtOfFolder(path: string): Promise<Doubt | undefined> {
  const reason = await reasonOf('the folder', path);
  return reason === undefined ? undefined : advise(reason, path);
}

/** Whether others can write the open file, or it is reached by a link that leads out of the folder. */
export async function doubtOfFile(path: string, folder: string, file: Seen): Promise<Doubt | undefined> {
  const reason = doubtOf('the file', file, self());
  if (reason !== undefined) return advise(reason, path);
  if (!(await lstat(path)).isSymbolicLink()) return undefined;
  const [target, root] = await Promise.all([realpath(path), realpath(folder)]);
  if (!target.startsWith(root + sep)) {
    return { reason: `it is a link that leads out of the folder, to ${target}`, hint: 'put the file itself there' };
  }
  for (let within = dirname(target); within !== root; within = dirname(within)) {
    const found = await reasonOf(`the folder ${within}`, within);
    if (found !== undefined) return advise(found, within);
  }
  return undefined;
}

const self = (): number => process.geteuid?.() ?? 0;

async function reasonOf(what: string, folder: string): Promise<string | undefined> {
  const reason = doubtOf(what, await stat(folder, { bigint: true }), self());
  return reason === undefined || (await isReadOnly(folder)) ? undefined : reason;
}

/** Whether no user can write here, whatever the mode is: Kubernetes mounts a ConfigMap read-only, with mode 0777. */
async function isReadOnly(folder: string): Promise<boolean> {
  try {
    await access(join(folder, '.'), constants.W_OK);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS';
  }
}

const advise = (reason: string, path: string): Doubt => ({
  reason,
  hint: `chown root ${path} and chmod go-w ${path}, or declare a check by tcp or http`,
});
