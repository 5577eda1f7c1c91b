import { fstatSync } from 'node:fs';

/** The device and the inode of an open file. */
type FileId = { readonly dev: bigint; readonly ino: bigint };

/**
 * Whether the journal of systemd reads a file: `JOURNAL_STREAM` then has its device and inode. The variable alone says nothing, because
 * whatever the service starts inherits it. Undefined where the file cannot be looked at.
 */
export function isJournal(journalStream: string | undefined, file: FileId | undefined): boolean {
  return file !== undefined && journalStream === `${file.dev}:${file.ino}`;
}

/** Whether the journal reads standard error, or standard output (1). */
export function journalReads(env: Readonly<Record<string, string | undefined>>, descriptor: 1 | 2 = 2): boolean {
  const stream = env['JOURNAL_STREAM'];
  if (stream === undefined) return false;
  try {
    return isJournal(stream, fstatSync(descriptor, { bigint: true }));
  } catch {
    // The descriptor is closed.
    return false;
  }
}

/** By a level of pino, and by the least level that has it: the priority of a line for the journal, sd-daemon(3). */
const priorities = [
  [50, '<3>'],
  [40, '<4>'],
  [30, '<6>'],
] as const;

/** What a line of the log begins with, so that `journalctl -p err` finds it. */
export const priorityOf = (level: number): string => priorities.find(([least]) => level >= least)?.[1] ?? '<7>';

/** The text of an error for standard error, each line with its priority if the journal reads it. */
export const errorText = (text: string, journal: boolean): string =>
  journal ? text.replace(/^(?=.)/gm, priorityOf(50)) : text;
