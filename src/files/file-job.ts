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
