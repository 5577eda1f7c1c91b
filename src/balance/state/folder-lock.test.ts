import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { lockFolder } from './folder-lock.ts';

async function place() {
  const dir = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const ending = new AbortController();
  const options = { dir, path: join(dir, 'run/lock'), pid: 7, host: 'h', since: new Date(0), signal: ending.signal };
  return { dir, ending, options };
}

test('a folder is held by one, whose pid is told to the other, until it is given back', async () => {
  const { dir, options } = await place();
  const unlock = await lockFolder(options);
  await expect(lockFolder(options)).rejects.toMatchObject({
    code: 'folder-in-use',
    message: 'another pointsman uses this folder, with the pid 7 on h, since 1970-01-01T00:00:00.000Z',
  });
  await unlock();
  await (await lockFolder(options))();
  expect(await readdir(join(dir, 'run'))).toEqual([]);
});

test('of many who come at once one gets the folder', async () => {
  const { options } = await place();
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(options)));
  const held = all.filter(({ status }) => status === 'fulfilled');
  expect(held).toHaveLength(1);
  for (const one of all) if (one.status === 'fulfilled') await one.value();
});

test('what one leaves that was killed holds nobody up', async () => {
  const { options } = await place();
  const code = `require('node:fs').mkdirSync(require('node:path').dirname(process.argv[1]));
    const text = JSON.stringify({ pid: process.pid, host: 'h', since: 's' });
    require('node:net').createServer((socket) => socket.end(text)).listen(process.argv[1], () => console.log('held'));`;
  const child = spawn(process.execPath, ['-e', code, options.path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await expect(lockFolder(options)).rejects.toMatchObject({ message: expect.stringContaining(`the pid ${child.pid}`) });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  // Several at once find the same leftover.
  const all = await Promise.allSettled(Array.from({ length: 5 }, () => lockFolder(options)));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const one of all) if (one.status === 'fulfilled') await one.value();
});

test('one that is stopping is waited for', async () => {
  const { options, ending } = await place();
  const unlock = await lockFolder(options);
  ending.abort();
  let got = false;
  const next = lockFolder({ ...options, signal: new AbortController().signal }).then((release) => {
    got = true;
    return release;
  });
  await expect(lockFolder({ ...options, signal: ending.signal })).rejects.toMatchObject({ code: 'folder-in-use' });
  expect(got).toBe(false);
  await unlock();
  await (await next)();
});

test('a folder stays held when somebody deletes the socket and its folder', async () => {
  const { dir, options } = await place();
  const unlock = await lockFolder(options);
  await rm(join(dir, 'run'), { recursive: true });
  await until('the socket is there again', async () => (await stat(options.path).catch(() => undefined)) !== undefined);
  await expect(lockFolder(options)).rejects.toMatchObject({ code: 'folder-in-use' });
  await unlock();
  expect(await readdir(join(dir, 'run'))).toEqual([]);
});
