import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KeptFiles } from './kept-files.ts';

test('a deleted file is written again as it was last, with its folder and the modes of both', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [path, never] = [join(dir, 'state/holds.json'), join(dir, 'state/never')];
  const files = new KeptFiles([path, never].map((file) => ({ path: file, mode: 0o600, folderMode: 0o700 })));
  expect(await files.restore()).toEqual([]);
  await mkdir(join(dir, 'state'));
  for (const text of ['first', 'second one']) {
    await writeFile(path, text);
    expect(await files.restore()).toEqual([]);
  }
  await rm(join(dir, 'state'), { recursive: true });
  expect(await files.restore()).toEqual([path]);
  expect(await readFile(path, 'utf8')).toBe('second one');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(dir, 'state'))).mode & 0o777).toBe(0o700);
  expect(await files.restore()).toEqual([]);
});
