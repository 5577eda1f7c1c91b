import { chmod, link, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { defaultTimeoutMs, defaultWait } from '../settings/file-declaration.ts';
import type { FileJob } from './file-job.ts';
import { KnownDestinations } from './known-destinations.ts';
import { placeFile } from './place-file.ts';

test('a file that has another name too keeps its mode, and is replaced', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-place-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [theirs, dest] = [join(dir, 'theirs'), join(dir, 'dest')];
  await writeFile(theirs, 'text', { mode: 0o600 });
  await link(theirs, dest);
  const declared = {
    where: 't',
    src: 'x',
    dest,
    syntax: 'mustache',
    escape: 'word',
    mode: 0o666,
    owner: undefined,
  } as const;
  const commands = { check: undefined, reload: undefined, timeoutMs: defaultTimeoutMs };
  const job: FileJob = {
    ...{ ...declared, ...commands, wait: defaultWait, keys: { kind: 'own' } },
    ownership: { mode: 0o666 },
  };
  const parts = {
    run: () => Promise.reject(new Error('there is no command')),
    disk: <T>(work: () => Promise<T>) => work(),
    destinations: new KnownDestinations(),
  };
  expect((await placeFile(job, 'text', parts)).what).toBe('replaced');
  expect((await stat(theirs)).mode & 0o777).toBe(0o600);
  expect((await stat(dest)).mode & 0o777).toBe(0o666);
  expect(await readFile(theirs, 'utf8')).toBe('text');
  expect((await placeFile(job, 'text', parts)).what).toBe('unchanged');
});

test.each([
  ['the same text', 'text'],
  ['another text', 'other'],
])('a file of confd without a mode loses set-user-ID, as with confd, with %s', async (_, before) => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-place-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const dest = join(dir, 'dest');
  await writeFile(dest, before);
  await chmod(dest, 0o4755);
  const declared = { where: 't', src: 'x', dest, syntax: 'confd', escape: 'none', mode: undefined } as const;
  const job: FileJob = {
    ...{ ...declared, owner: undefined, confdTemplates: dir, check: undefined, reload: undefined },
    ...{ timeoutMs: defaultTimeoutMs, wait: defaultWait, keys: { kind: 'own' }, ownership: {} },
  };
  const parts = {
    run: () => Promise.reject(new Error('there is no command')),
    disk: <T>(work: () => Promise<T>) => work(),
    destinations: new KnownDestinations(),
  };
  expect((await placeFile(job, 'text', parts)).what).toBe('replaced');
  expect((await stat(dest)).mode & 0o7777).toBe(0o755);
  expect((await placeFile(job, 'text', parts)).what).toBe('unchanged');
});
