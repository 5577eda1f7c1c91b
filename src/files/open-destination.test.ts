import { mkdtemp, realpath, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mayFollow, openDestination } from './open-destination.ts';

const [root, self, other] = [0, 1000, 1001];
const folder = (uid: number, mode: number) => ({ uid, mode: 0o40000 | mode });
const link = (uid: number) => ({ uid, mode: 0o120777 });

test.each([
  ['in a folder of root', folder(root, 0o755), link(root), true],
  ['in a folder of our own', folder(self, 0o755), link(self), true],
  [
    'of another in a folder of root that nobody else writes: root moved it there',
    folder(root, 0o755),
    link(other),
    true,
  ],
  ['in a folder of another', folder(other, 0o755), link(root), false],
  ['in a folder that its group writes', folder(root, 0o775), link(root), false],
  ['in a folder that everybody writes', folder(root, 0o777), link(root), false],
  ['of our own in /tmp', folder(root, 0o1777), link(self), true],
  ['of another in /tmp', folder(root, 0o1777), link(other), false],
])('a symbolic link %s', (_, within, found, followed) => {
  expect(mayFollow(within, found, self)).toBe(followed);
});

test('links are followed, to folders and files that do not exist as well, and not without end', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'pm-destination-')));
  const pathOf = async (name: string, missing: 'make' | 'leave') => {
    const at = await (missing === 'make'
      ? openDestination(join(dir, name), missing)
      : openDestination(join(dir, name), missing));
    await at?.close();
    return at?.path;
  };
  await symlink('b/../c/file', join(dir, 'a'));
  expect(await pathOf('a', 'leave')).toBe(undefined);
  expect(await pathOf('a', 'make')).toBe(join(dir, 'c/file'));
  expect(await pathOf('a', 'leave')).toBe(join(dir, 'c/file'));
  await symlink(join(dir, 'c'), join(dir, 'd'));
  expect(await pathOf('d/./x', 'leave')).toBe(join(dir, 'c/x'));
  await symlink('loop', join(dir, 'loop'));
  await expect(pathOf('loop', 'make')).rejects.toThrow('lead in a circle');
  await expect(openDestination('/', 'make')).rejects.toThrow('it is a folder');
});
