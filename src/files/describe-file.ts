import type { FileStatus } from './file-state.ts';

/** A problem for an operator. `bad`: the file is not as it should be, or not in use. */
export type FileTrouble = { readonly kind: 'bad' | 'note'; readonly says: string };

/** The problems of a file, a line each; none when it is well. */
export function describeFile(file: Partial<FileStatus> & Pick<FileStatus, 'dest'>): readonly FileTrouble[] {
  const { dest, refused, reloadFailed, altered, stalled, inPlace } = file;
  const line = (kind: FileTrouble['kind'], reason: string | undefined, what: string): readonly FileTrouble[] =>
    reason === undefined ? [] : [{ kind, says: `the file ${dest} ${what}: ${reason}` }];
  return [
    ...line('bad', refused, 'is not up to date'),
    ...line('bad', reloadFailed, 'is not in use'),
    ...line('bad', altered, 'is not as pointsman wrote it'),
    ...line('bad', stalled, 'waits'),
    ...line('note', inPlace, 'is overwritten in place, so a reader can find half of the text'),
  ];
}
