import { expect, test } from 'vitest';
import { describeFile } from './describe-file.ts';
import type { FileStatus } from './file-state.ts';

const well: FileStatus = {
  dest: '/etc/a',
  refused: undefined,
  reloadFailed: undefined,
  altered: undefined,
  stalled: undefined,
  inPlace: undefined,
};

test('a file that is well has nothing to tell', () => {
  expect(describeFile(well)).toEqual([]);
});

test('a file tells of each of its troubles with the reason', () => {
  const file = { refused: 'exit code 1', reloadFailed: 'no such command', altered: 'it was deleted', stalled: 'slow', inPlace: 'EBUSY' }; // biome-ignore format: a table
  expect(describeFile({ ...well, ...file }).map(({ kind, says }) => `${kind}: ${says}`)).toEqual([
    'bad: the file /etc/a is not up to date: exit code 1',
    'bad: the file /etc/a is not in use: no such command',
    'bad: the file /etc/a is not as pointsman wrote it: it was deleted',
    'bad: the file /etc/a waits: slow',
    'note: the file /etc/a is overwritten in place, so a reader can find half of the text: EBUSY',
  ]);
});
