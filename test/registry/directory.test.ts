import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import { until } from '../support/until.ts';
import type { RegistryStore } from './contract/tree.ts';
import { describeRegistryContract } from './contract.ts';
import { startFolder } from './folder.ts';

async function newStore(): Promise<RegistryStore> {
  const path = await mkdtemp(join(tmpdir(), 'pm-dir-'));
  const logger = pino({ level: 'silent' });
  return {
    open: () => openDirectoryRegistry({ path, logger }),
    async writeByHand(key, value) {
      await mkdir(dirname(join(path, key)), { recursive: true });
      await writeFile(join(path, key), `${value}\n`);
    },
    deleteByHand: (key) => rm(join(path, key)),
    dispose: () => rm(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

describeRegistryContract('the directory', { newStore, ttlMs: 500 });

test('a value in a folder is a plain file that a person can read', async () => {
  const { open, path } = await startFolder();
  await open().write('instances/web/web-1', '127.0.0.1:9001');
  expect(await readFile(join(path, 'instances/web/web-1'), 'utf8')).toBe('127.0.0.1:9001');
  expect(await readdir(path)).toEqual(['.pointsman', 'instances']);
  expect(await readdir(join(path, '.pointsman/temporary'))).toEqual([]);
});

test('echo in a shell is a registration', async () => {
  const { byHand, follow, path } = await startFolder();
  const recorder = await follow();
  const line = `mkdir -p ${path}/instances/web && echo 127.0.0.1:9001 > ${path}/instances/web/w1`;
  await promisify(execFile)('sh', ['-c', line]);
  await recorder.sees('instances/web/w1', '127.0.0.1:9001');
  await byHand('instances/web/w1', '127.0.0.1:9002\r\n');
  await recorder.sees('instances/web/w1', '127.0.0.1:9002');
  await promisify(execFile)('sh', ['-c', `mv ${path}/instances/web ${path}/instances/shop`]);
  await recorder.sees('instances/shop/w1', '127.0.0.1:9002');
  await recorder.sees('instances/web/w1', undefined);
});

test('an edit in the same tick of the clock as our own write, of the same length, is seen', async () => {
  const { byHand, follow, open } = await startFolder();
  const recorder = await follow();
  for (let n = 0; n < 20; n += 1) {
    await open().write('keys/k', `ours-${n}`);
    await byHand('keys/k', `hand-${n}`);
    await recorder.sees('keys/k', `hand-${n}`);
  }
});

test('a file that cannot be a value is ignored, with one warning each, and never a crash', async () => {
  const { byHand, follow, open, path, warnings } = await startFolder();
  await byHand('keys/good', 'good\n');
  await byHand('keys/large', '');
  await truncate(join(path, 'keys/large'), 2_000_000);
  await byHand('keys/binary', Buffer.from([0xff, 0xfe, 0x00]));
  await byHand('keys/with space', 'x');
  await byHand('keys/.hidden', 'x');
  await byHand('keys/good~', 'a backup of an editor');
  await byHand('bad\nfolder/x', 'x');
  await symlink('/etc/hostname', join(path, 'keys/link'));
  await symlink('/etc', join(path, 'etc'));
  await symlink('nowhere', join(path, 'keys/dangling'));
  await promisify(execFile)('mkfifo', [join(path, 'keys/pipe')]);
  const recorder = await follow(open({ rescanMs: 50 }));
  await byHand('keys/late', 'late');
  await recorder.sees('keys/late', 'late');
  await byHand('keys/good', 'better');
  await recorder.sees('keys/good', 'better');
  expect(recorder.values()).toEqual({ 'keys/good': 'better', 'keys/late': 'late' });
  // Several rescans later there is still one warning each.
  const ignored = [
    'bad\nfolder',
    'etc',
    'keys/binary',
    'keys/dangling',
    'keys/large',
    'keys/link',
    'keys/pipe',
    'keys/with space',
  ];
  expect(warnings.map(({ key }) => key).sort()).toEqual(ignored);
});

test('a key that cannot be a file is refused with the reason', async () => {
  const { open } = await startFolder();
  const registry = open();
  for (const key of [
    '',
    'a//b',
    '../x',
    'a/../b',
    '.pointsman/journal.1',
    '/etc/passwd',
    'a\nb',
    'a/b~',
    'x'.repeat(256),
  ]) {
    await expect(registry.write(key, 'x')).rejects.toMatchObject({ name: 'Fault', code: 'usage' });
  }
  await expect(registry.write('keys/large', 'x'.repeat(1_600_000))).rejects.toMatchObject({ code: 'usage' });
  await registry.write('keys/a/b', 'x');
  await expect(registry.write('keys/a', 'x')).rejects.toMatchObject({ name: 'Fault' });
  await expect(registry.write('keys/a/b/c', 'x')).rejects.toMatchObject({ name: 'Fault' });
  expect((await registry.read('')).entries.map(({ key }) => key)).toEqual(['keys/a/b']);
});

test('closing a registry in a folder leaves no timer, no watcher and no open file', async () => {
  const { byHand, follow, open } = await startFolder();
  const busy = () => process.getActiveResourcesInfo().filter((what) => ['FSEventWrap', 'Timeout'].includes(what));
  const descriptors = async () => (await readdir('/proc/self/fd')).length;
  const [before, openBefore] = [busy(), await descriptors()];
  const registry = open();
  const recorder = await follow(registry);
  const session = registry.openSession({ ttlMs: 1000, mayReplace: () => false, onEvent: () => {} });
  await session.put('instances/web/web-1', '127.0.0.1:1');
  await recorder.sees('instances/web/web-1', '127.0.0.1:1');
  await byHand('instances/web/w2', '127.0.0.1:2');
  await registry.close();
  await until(`${busy()} is ${before}`, () => busy().length <= before.length);
  await until('all files are closed', async () => (await descriptors()) <= openBefore);
  await expect(registry.read('')).rejects.toMatchObject({ name: 'Fault' });
});

test('a single change is recorded as versions before transactions understand it', async () => {
  const { open, path } = await startFolder();
  const registry = open();
  const at = await registry.replace('services/web', '{}', undefined);
  expect(await registry.replace('services/web', undefined, at)).toBeDefined();
  const both = [
    { key: 'keys/a', value: 'one' },
    { key: 'keys/b', value: 'two' },
  ] as const;
  await registry.transact({ changes: both.map((one) => ({ ...one, since: undefined })) });
  const lines = (await readFile(join(path, '.pointsman/journal.1'), 'utf8')).split('\n').filter((line) => line !== '');
  expect(lines.map((line) => JSON.parse(line).op)).toEqual(['open', 'put', 'delete', 'transaction']);
});
