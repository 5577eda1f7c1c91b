import { chmod, mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KnownDestinations } from './known-destinations.ts';
import type { LastLink } from './open-destination.ts';

async function startKnown() {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'pm-known-')));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const known = new KnownDestinations();
  const path = (name: string) => join(dir, name);
  const open = async (name: string, last: LastLink = 'replace') => {
    const at = await known.open(path(name), last);
    await writeFile(join(at.folder, at.name), name);
    await at.close();
    return at;
  };
  return { path, open };
}

test('a folder that was reached is opened again without the walk, also when another one has its name', async () => {
  const { path, open } = await startKnown();
  expect((await open('a/out')).isLocal).toBe(undefined);
  expect((await open('a/out')).isLocal).toBe(true);
  await rename(path('a'), path('old'));
  await mkdir(path('a'));
  expect((await open('a/out')).isLocal).toBe(undefined);
  expect((await open('a/out')).isLocal).toBe(true);
  await rm(path('a'), { recursive: true });
  expect((await open('a/out')).path).toBe(path('a/out'));
});

test('a folder that became a link is walked to again, and refused where others can write', async () => {
  const { path, open } = await startKnown();
  await open('shared/a/out');
  await open('shared/a/out');
  await mkdir(path('elsewhere'));
  await rename(path('shared/a'), path('shared/b'));
  await symlink(path('elsewhere'), path('shared/a'));
  await chmod(path('shared'), 0o777);
  await expect(open('shared/a/out')).rejects.toThrow('is a symbolic link in a folder that others can write');
});

test('a file that became a link is found to be one, unless it is to be replaced', async () => {
  const { path, open } = await startKnown();
  for (const _ of [1, 2]) await open('out', 'follow');
  await rename(path('out'), path('target'));
  await symlink('target', path('out'));
  expect((await open('out', 'follow')).path).toBe(path('target'));
});
