import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SeenFiles } from './seen-files.ts';

test('a file that somebody else writes is reported once, also when its text is the same again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'haproxy.cfg');
  const written = new Map([[path, 'ours']]);
  await writeFile(path, 'ours');
  const files = new SeenFiles();
  await files.written([path]);
  await files.look(written);
  expect(files.take()).toEqual({ touched: false, changed: [] });

  await writeFile(path, 'theirs');
  await files.look(written);
  expect(files.take()).toEqual({ touched: true, changed: [path] });
  expect(files.take()).toEqual({ touched: false, changed: [] });

  await writeFile(path, 'ours');
  await files.look(written);
  expect(files.take()).toEqual({ touched: true, changed: [] });
  await files.look(written);
  expect(files.take()).toEqual({ touched: false, changed: [] });
});
