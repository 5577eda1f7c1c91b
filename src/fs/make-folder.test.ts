import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

test('a folder is made with those on the way to it, and an existing one keeps its mode', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-folder-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await makeFolder(join(dir, 'a/b/c'), 0o700);
  await makeFolder(join(dir, 'a/b'), 0o755);
  expect((await stat(join(dir, 'a/b'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(dir, 'a/b/c'))).isDirectory()).toBe(true);
});

test('a file in the way is an error', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-folder-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'file'), '');
  await expect(makeFolder(join(dir, 'file'))).rejects.toThrow('EEXIST');
  await expect(makeFolder(join(dir, 'file/below'))).rejects.toThrow('ENOTDIR');
});

test('a folder below one that takes none is an error, and not an endless search', async () => {
  await expect(makeFolder('/proc/none/below')).rejects.toThrow('ENOENT');
});
