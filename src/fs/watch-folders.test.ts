import { mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { watchFolders } from './watch-folders.ts';

test('a link that leads to another folder is noticed right after the start, and when it soon leads back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-watch-'));
  await Promise.all(['1', '2'].map((name) => mkdir(join(folder, name))));
  const lead = async (name: string) => {
    await symlink(name, join(folder, 'next'));
    await rename(join(folder, 'next'), join(folder, 'now'));
  };
  await lead('1');
  const errors: unknown[] = [];
  let changes = 0;
  // Only the linked folder: what happens in it is seen, and not that it is another one.
  const end = watchFolders({
    folders: [join(folder, 'now')],
    onChange: () => {
      changes += 1;
    },
    onError: (error) => errors.push(error),
  });
  onTestFinished(async () => {
    await end();
    await rm(folder, { recursive: true });
  });
  for (const name of ['2', '1']) {
    await until('the last change was read', () => changes > 0);
    changes = 0;
    await lead(name);
  }
  await until('the way back was read, too', () => changes > 0);
  expect(errors).toEqual([]);
});
