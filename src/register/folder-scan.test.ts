import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FolderScan } from './folder-scan.ts';
import { doubtOf } from './trusted-writer.ts';

async function folder(wall: () => number = Date.now) {
  const path = await mkdtemp(join(tmpdir(), 'pm-scan-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const scan = new FolderScan(path, wall);
  const next = async () => {
    const { changed, gone } = await scan.next();
    const found = [...changed].map(([name, one]) => [name, one.kind === 'text' ? one.text : `! ${one.reason}`]);
    return { changed: Object.fromEntries(found), gone };
  };
  const doubts = async () => {
    const { changed } = await scan.next();
    return Object.fromEntries([...changed].map(([name, one]) => [name, one.kind === 'text' ? one.doubt?.reason : one]));
  };
  return { path, next, doubts, write: (name: string, text: string) => writeFile(join(path, name), text) };
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

describe('a file that another user may have written is doubted', () => {
  test.each([
    [0, 0o644, undefined],
    [1000, 0o600, undefined],
    [1001, 0o600, 'it belongs to user 1001'],
    [0, 0o664, 'it can be written by its group'],
    [0, 0o646, 'it can be written by others'],
    [1000, 0o777, 'it can be written by its group and by others'],
  ])('owner %i, mode %o, for user 1000: %s', (uid, mode, reason) => {
    expect(doubtOf('it', { uid: BigInt(uid), mode: BigInt(mode) }, 1000)).toBe(reason);
  });

  test('when its mode, its folder or a link lets others write, and told again when that changes', async () => {
    const { path, write, doubts } = await folder(() => Date.now() + 3_600_000);
    await write('good.yaml', '1');
    await write('open.yaml', '1');
    await chmod(join(path, 'open.yaml'), 0o666);
    const elsewhere = await folder();
    await elsewhere.write('x.yaml', '1');
    await symlink(join(elsewhere.path, 'x.yaml'), join(path, 'out.yaml'));
    await mkdir(join(path, '..data'));
    await write('..data/in.yaml', '1');
    await symlink('..data/in.yaml', join(path, 'in.yaml'));
    expect(await doubts()).toEqual({
      'good.yaml': undefined,
      'in.yaml': undefined,
      'open.yaml': 'the file can be written by its group and by others',
      'out.yaml': `it is a link that leads out of the folder, to ${join(elsewhere.path, 'x.yaml')}`,
    });
    await chmod(join(path, '..data'), 0o777);
    await chmod(join(path, 'open.yaml'), 0o644);
    const within = `the folder ${join(path, '..data')} can be written by its group and by others`;
    expect(await doubts()).toEqual({ 'open.yaml': undefined, 'in.yaml': within });
    await chmod(path, 0o777);
    expect(await doubts()).toMatchObject({ 'good.yaml': 'the folder can be written by its group and by others' });
  });

  test.runIf(process.getuid?.() === 0)('when it belongs to another user', async () => {
    const { path, write, doubts } = await folder();
    await write('a.yaml', '1');
    await chown(join(path, 'a.yaml'), 65534, 65534);
    expect(await doubts()).toEqual({ 'a.yaml': 'the file belongs to user 65534' });
  });

  test('and a named pipe holds up nothing', async () => {
    const { path, next } = await folder();
    execFileSync('mkfifo', [join(path, 'a.yaml')]);
    expect((await next()).changed).toEqual({ 'a.yaml': '! it is not a file' });
  });
});
