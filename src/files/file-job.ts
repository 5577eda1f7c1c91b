import type { Ownership } from '../fs/replace-file.ts';
import type { Fault } from '../model/fault.ts';
import type { FileDeclaration } from '../settings/file-declaration.ts';

/** A declaration whose owner is known to the machine. */
export type FileJob = FileDeclaration & {
  readonly ownership: Ownership;
  /** Why the file cannot be made, whatever its template. */
  readonly refused?: Fault | undefined;
};

/** Whether a file belongs to a folder of confd: such a file is replaced whenever confd would replace it. */
export const isOfConfd = ({ confdTemplates }: Pick<FileDeclaration, 'confdTemplates'>): boolean =>
  confdTemplates !== undefined;

/** The mode that the next file takes from the one that is there. confd gives each file an owner, which clears set-user-ID and set-group-ID. */
export const keptMode = (job: Pick<FileDeclaration, 'confdTemplates'>, mode: number): number =>
  mode & (isOfConfd(job) ? 0o1777 : 0o7777);
