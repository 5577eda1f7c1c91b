import { mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FolderScan } from './folder-scan.ts';

async function folder(wall: () => number = Date.now) {
  const path = await mkdtemp(join(tmpdir(), 'pm-scan-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const scan = new FolderScan(path, wall);
  const next = async () => {
    const { changed, gone } = await scan.next();
    const found = [...changed].map(([name, one]) => [name, one.kind === 'text' ? one.text : `! ${one.reason}`]);
    return { changed: Object.fromEntries(found), gone };
  };
  return { path, next, write: (name: string, text: string) => writeFile(join(path, name), text) };
}

describe('a folder that is looked at again and again', () => {
  test('gives what came, changed and went since the last look', async () => {
    const { write, next, path } = await folder();
    await write('a.yaml', '1');
    await write('b.json', '2');
    await write('.hidden.yaml', '3');
    await write('notes.txt', '4');
    expect(await next()).toEqual({ changed: { 'a.yaml': '1', 'b.json': '2' }, gone: [] });
    expect(await next()).toEqual({ changed: {}, gone: [] });
    await write('a.yaml', '10');
    await rm(join(path, 'b.json'));
    expect(await next()).toEqual({ changed: { 'a.yaml': '10' }, gone: ['b.json'] });
  });

  // From Linux 6.13 on a file that was looked at gets a finer time with its next write, and this cannot fail.
  test('sees a second write within one tick of the clock, of the same length', async () => {
    const { write, next } = await folder();
    for (const text of ['1', '2', '3', '4', '5', '6', '7', '8', '9']) {
      await write('a.yaml', text);
      expect((await next()).changed).toEqual({ 'a.yaml': text });
    }
  });

  test('does not read again what has an old stamp', async () => {
    const { write, next, path } = await folder(() => Date.now() + 3_600_000);
    await write('a.yaml', '1');
    const once = new Date(0);
    await utimes(join(path, 'a.yaml'), once, once);
    expect((await next()).changed).toEqual({ 'a.yaml': '1' });
    expect((await next()).changed).toEqual({});
  });

  test('tells what cannot be read, once', async () => {
    const { write, next, path } = await folder();
    await write('large.yaml', 'x'.repeat(70_000));
    await symlink(join(path, 'nowhere'), join(path, 'dangling.yaml'));
    expect((await next()).changed).toEqual({ 'large.yaml': '! it has more than 65536 bytes' });
    expect((await next()).changed).toEqual({});
  });
});
