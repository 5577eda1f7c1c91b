import { chmod, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { startFiles } from '../support/files.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

async function startKept(declared: Readonly<Record<string, unknown>> = {}) {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const reload = ['sh', '-c', `echo >> ${files.path('reloads')}`];
  await files.declare({ src: 't/a.mustache', dest: 'out/a', reload, ...declared });
  await files.put('/keys/n', '1');
  const admin = await freePort();
  const pointsman = await files.keep('--interval', '200ms', '--admin', `127.0.0.1:${admin}`);
  const status = async () => JSON.parse((await ask(admin, 'localhost', '/status')).body).files[0];
  return { files, pointsman, status };
}

describe('somebody else', () => {
  test('deletes a file, or its folder: it is made again and reloaded', async () => {
    const { files, pointsman } = await startKept();
    await files.becomes('reloads', '\n');
    await rm(files.path('out/a'));
    await files.becomes('out/a', '1');
    await files.becomes('reloads', '\n\n');
    expect(await pointsman.logged('file-restored')).toMatchObject({ level: 'warn', reason: 'it was deleted' });
    await rm(files.path('out'), { recursive: true });
    await files.becomes('out/a', '1');
  });

  test('edits a file: it has its text again', async () => {
    const { files, pointsman } = await startKept();
    await files.becomes('reloads', '\n');
    // Until it was looked at once, nobody can say who wrote it.
    await until('it is looked at', async () => (await files.read('out/a')) === '1');
    await files.write('out/a', 'by hand');
    await files.becomes('out/a', '1');
    expect(await pointsman.logged('file-restored')).toMatchObject({ reason: 'somebody else changed it' });
  });

  test('takes the mode of a file away: it has it again, without a reload', async () => {
    const { files, pointsman } = await startKept({ mode: '0640' });
    await files.becomes('reloads', '\n');
    await chmod(files.path('out/a'), 0o666);
    await until('it has its mode', async () => ((await stat(files.path('out/a'))).mode & 0o777) === 0o640);
    expect(await pointsman.logged('file-restored')).toMatchObject({ what: 'permissions' });
    expect(await files.read('reloads')).toBe('\n');
  });

  test('deletes a file whose check does not answer: the status says so until it is there', async () => {
    const files = await startFiles();
    const { path } = files;
    const check = ['sh', '-c', `while test -e ${path('hang')}; do sleep 0.1; done # {{staged}}`];
    await files.write('t/a.mustache', 'x');
    await files.declare({ src: 't/a.mustache', dest: 'a', check });
    const admin = await freePort();
    await files.keep('--interval', '100ms', '--admin', `127.0.0.1:${admin}`);
    await files.becomes('a', 'x');
    const get = (what: string) => ask(admin, 'localhost', what);
    const status = async () => JSON.parse((await get('/status')).body).files[0];
    await until('it is ready', async () => (await get('/readyz')).status === 200);
    await files.write('hang', '');
    await until('it is told', async () => {
      await rm(path('a'), { force: true });
      return (await status()).altered === 'it was deleted';
    });
    expect((await get('/readyz')).status).toBe(503);
    expect((await get('/metrics')).body).toContain(`pointsman_file_failed{dest="${path('a')}"} 1`);
    await rm(path('hang'));
    await files.becomes('a', 'x');
    await until('it is well', async () => (await status()).altered === undefined);
  });

  test('touches a file: nothing is written or reloaded', async () => {
    const { files, status } = await startKept();
    await files.becomes('reloads', '\n');
    const before = await stat(files.path('out/a'));
    await files.write('out/a', '1');
    await until('it is well', async () => (await status()).altered === undefined);
    expect((await stat(files.path('out/a'))).ino).toBe(before.ino);
    await files.put('/keys/n', '2');
    await files.becomes('reloads', '\n\n');
  });
});

test('a reload that changes the file itself does not run all the time', async () => {
  const files = await startFiles();
  const { path } = files;
  await files.write('t/a.mustache', 'x');
  const reload = ['sh', '-c', `echo >> ${path('reloads')}; echo formatted > ${path('a')}`];
  await files.declare({ src: 't/a.mustache', dest: 'a', reload });
  const pointsman = await files.keep('--interval', '100ms');
  await until(
    'it was restored 4 times',
    () => pointsman.log.filter(({ event }) => event === 'file-restored').length === 4,
  );
  const times = pointsman.log
    .filter(({ event }) => event === 'file-restored')
    .map(({ time }) => Date.parse(String(time)));
  const [first = 0, second = 0, third = 0, fourth = 0] = times;
  expect(fourth - third).toBeGreaterThan(second - first);
});

describe('a destination that is a symbolic link', () => {
  test('stays one, also when its target does not exist yet, or its folder', async () => {
    const { files } = await startKept({ dest: 'enabled/a' });
    await files.becomes('enabled/a', '1');
    await rm(files.path('enabled/a'));
    await symlink('../available/deep/a', files.path('enabled/a'));
    await files.becomes('available/deep/a', '1');
    expect(await readlink(files.path('enabled/a'))).toBe('../available/deep/a');
    await rm(files.path('available/deep/a'));
    await files.becomes('available/deep/a', '1');
    expect(await readlink(files.path('enabled/a'))).toBe('../available/deep/a');
  });

  test('that leads to the destination of another is refused at the start', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', 'x');
    await files.write('real/a', '');
    await symlink('real', files.path('also'));
    await files.declare({ src: 't/a.mustache', dest: 'real/a' }, { src: 't/a.mustache', dest: 'also/a' });
    const { code, stderr } = await files.run('--once');
    expect(code).toBe(2);
    expect(stderr[0]).toContain(`also/a and ${files.path('real/a')}`);
  });
});

test('a template that is deleted leaves the file as it is, and is well when it is there again', async () => {
  const { files, pointsman, status } = await startKept();
  await files.becomes('out/a', '1');
  const template = files.path('t/a.mustache');
  await rename(template, `${template}.away`);
  await pointsman.logged('template-refused');
  expect((await status()).refused).toContain('there is no such file');
  await files.put('/keys/n', '2');
  await files.becomes('out/a', '2');
  await rename(`${template}.away`, template);
  await until('it is well', async () => (await status()).refused === undefined);
  await rename(dirname(template), files.path('away'));
  await until('it is refused', async () => (await status()).refused !== undefined);
  await rename(files.path('away'), dirname(template));
  await until('it is well again', async () => (await status()).refused === undefined);
  await files.write('t/a.mustache', 'new {{keys.n}}');
  await files.becomes('out/a', 'new 2');
});
