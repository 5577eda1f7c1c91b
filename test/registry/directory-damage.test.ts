import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { SessionEvent } from '../../src/registry/registry.ts';
import { until } from '../support/until.ts';
import { startFolder } from './folder.ts';
import { Recorder } from './recorder.ts';

test('a value that becomes unusable keeps its last good form', async () => {
  const { byHand, follow, warnings } = await startFolder();
  const recorder = await follow();
  await byHand('keys/k', 'good');
  await recorder.sees('keys/k', 'good');
  await byHand('keys/k', Buffer.from([0xff, 0xfe]));
  await until('the warning', () => warnings.length === 1);
  expect(recorder.values()).toEqual({ 'keys/k': 'good' });
});

test('a folder that is deleted and made again loses no registration, and no follower is told of emptiness', async () => {
  const { byHand, follow, open, path } = await startFolder();
  const recorder = await follow();
  const events: SessionEvent[] = [];
  const session = open().openSession({
    ttlMs: 60_000,
    mayReplace: () => false,
    onEvent: (event) => events.push(event),
  });
  await session.put('instances/web/web-1', '127.0.0.1:1');
  await session.put('instances/web/web-2', '127.0.0.1:2');
  await recorder.sees('instances/web/web-2', '127.0.0.1:2');
  const clusters = () => recorder.events.flatMap((event) => (event.kind === 'snapshot' ? [event.cluster] : []));
  await rename(path, `${path}-aside`);
  await mkdir(path);
  await until('a snapshot of the new folder', () => new Set(clusters()).size === 2);
  await rm(`${path}-aside`, { recursive: true });
  expect(recorder.values()).toEqual({ 'instances/web/web-1': '127.0.0.1:1', 'instances/web/web-2': '127.0.0.1:2' });
  const last = recorder.events.findLast((event) => event.kind === 'snapshot');
  expect(last).toMatchObject({ history: { kind: 'replaced', reason: expect.stringContaining('another cluster') } });
  expect(await readFile(join(path, 'instances/web/web-1'), 'utf8')).toBe('127.0.0.1:1');
  expect(recorder.changes.filter((change) => change.includes('delete'))).toEqual([]);
  expect(recorder.events.map(({ kind }) => kind)).toContain('disconnected');
  // The watchers look at the new folder now.
  await byHand('instances/web/w3', '127.0.0.1:3');
  await recorder.sees('instances/web/w3', '127.0.0.1:3');
});

test('rm -rf under live sessions loses no registration', async () => {
  const { follow, open, path } = await startFolder();
  // The rescan sees the changes that the watch misses because its folders are replaced while it looks at them.
  const recorder = await follow(open({ rescanMs: 1000 }));
  const session = open({ rescanMs: 1000 }).openSession({ ttlMs: 60_000, mayReplace: () => false, onEvent: () => {} });
  for (let n = 0; n < 20; n += 1) await session.put(`instances/web/web-${n}`, `127.0.0.1:${n + 1}`);
  // A session restores its keys while rm deletes them, so rm may fail. Then it is run again.
  for (let n = 0; n < 3; n += 1) await promisify(execFile)('rm', ['-rf', path]).catch(() => {});
  await until('all are back', async () => {
    const files = await readdir(join(path, 'instances/web'));
    return files.length === 20 && recorder.view.size === 20;
  });
});

test('without the journal, but with the files, live sessions own their keys again', async () => {
  const { follow, open, path } = await startFolder();
  const recorder = await follow();
  const events: SessionEvent[] = [];
  const session = open().openSession({
    ttlMs: 60_000,
    mayReplace: () => false,
    onEvent: (event) => events.push(event),
  });
  await session.put('instances/web/web-1', '127.0.0.1:1');
  await recorder.sees('instances/web/web-1', '127.0.0.1:1');
  await rename(join(path, '.pointsman'), `${path}-aside`);
  await until('the key is restored', () => events.some(({ kind }) => kind === 'restored'));
  await until('the follower sees it', () => recorder.events.filter(({ kind }) => kind === 'snapshot').length > 1);
  await rm(`${path}-aside`, { recursive: true });
  await until('it is leased again', () => recorder.view.get('instances/web/web-1')?.leased === true);
  expect(events.map(({ kind }) => kind)).not.toContain('taken');
});

test('a writer that died between its record and its file leaves no ghost', async () => {
  const { follow, open, path } = await startFolder();
  const recorder = await follow();
  await open().write('keys/a', 'old');
  await recorder.sees('keys/a', 'old');
  const journal = join(path, '.pointsman/journal.1');
  const record = (revision: number, key: string, value: string) =>
    `\n${JSON.stringify({ op: 'put', revision, by: 'dead-1', key, value, file: `1:${value.length}` })}\n`;
  await writeFile(journal, record(2, 'keys/a', 'new'), { flag: 'a' });
  await writeFile(journal, record(3, 'keys/b', 'never written'), { flag: 'a' });
  // It was accepted, so the file follows; what has no file at all counts as deleted.
  await until('the file follows', async () => (await readFile(join(path, 'keys/a'), 'utf8')) === 'new');
  await recorder.sees('keys/b', undefined);
  await recorder.sees('keys/a', 'new');
  expect((await open().read('')).entries.map(({ key, value }) => `${key}=${value}`)).toEqual(['keys/a=new']);
});

test('a folder that cannot be made is said, and followed once it can', async () => {
  const { open, path } = await startFolder();
  await rm(path, { recursive: true });
  await writeFile(path, 'a file is in the way');
  const registry = open();
  await expect(registry.read('')).rejects.toMatchObject({ name: 'Fault', code: 'registry-unreachable' });
  const recorder = new Recorder(registry);
  await until('it is said', () => recorder.events.some(({ kind }) => kind === 'disconnected'));
  const session = registry.openSession({ ttlMs: 60_000, mayReplace: () => false, onEvent: () => {} });
  const put = session.put('keys/k', 'value');
  await rm(path);
  await recorder.reached(await put);
  await recorder.sees('keys/k', 'value');
});
