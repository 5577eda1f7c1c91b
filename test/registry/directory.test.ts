import { execFile } from 'node:child_process';
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import type { Registry, SessionEvent } from '../../src/registry/registry.ts';
import { until } from '../support/until.ts';
import { buildProcess, Child } from './child.ts';
import type { RegistryStore } from './contract/tree.ts';
import { describeRegistryContract } from './contract.ts';
import { Recorder } from './recorder.ts';

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

describe('the directory registry', () => {
  let scratch: string;
  let path: string;
  let program: string;
  let warnings: { key?: string; reason?: string }[];
  let ends: (() => Promise<void>)[];

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'pm-dirs-'));
    await chmod(scratch, 0o755);
    program = await buildProcess(scratch, 'directory-process', 'bundle');
  });

  afterAll(() => rm(scratch, { recursive: true, force: true }));

  beforeEach(async () => {
    path = await mkdtemp(join(scratch, 'registry-'));
    await chmod(path, 0o755);
    warnings = [];
    ends = [];
  });

  afterEach(async () => {
    for (const end of ends) await end();
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
  });

  function open(options: { rescanMs?: number } = {}): Registry {
    const logger = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line)) });
    const registry = openDirectoryRegistry({ path, logger, ...options });
    ends.push(() => registry.close());
    return registry;
  }

  async function follow(registry = open()): Promise<Recorder> {
    const recorder = new Recorder(registry);
    ends.push(async () => expect(recorder.violations).toEqual([]));
    await recorder.started();
    return recorder;
  }

  function start(args: readonly string[], as: { uid?: number } = {}): Child {
    const child = new Child(program, args, as);
    ends.push(() => child.close());
    return child;
  }

  async function byHand(key: string, content: string | Buffer): Promise<void> {
    await mkdir(dirname(join(path, key)), { recursive: true });
    await writeFile(join(path, key), content);
  }

  test('a value is a plain file that a person can read', async () => {
    await open().write('instances/web/web-1', '127.0.0.1:9001');
    expect(await readFile(join(path, 'instances/web/web-1'), 'utf8')).toBe('127.0.0.1:9001');
    expect(await readdir(path)).toEqual(['.pointsman', 'instances']);
    expect(await readdir(join(path, '.pointsman/temporary'))).toEqual([]);
  });

  test('echo in a shell is a registration', async () => {
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
    const recorder = await follow();
    for (let n = 0; n < 20; n += 1) {
      await open().write('keys/k', `ours-${n}`);
      await byHand('keys/k', `hand-${n}`);
      await recorder.sees('keys/k', `hand-${n}`);
    }
  });

  test('the keys of a killed process vanish, and those of a stopped one come back when it goes on', async () => {
    // A TTL that a process on a busy machine does not miss by itself.
    const ttl = '1500';
    const recorder = await follow();
    const killed = start(['hold', path, ttl, 'instances/web/killed=127.0.0.1:1']);
    const stopped = start([
      'hold',
      path,
      ttl,
      'instances/web/stopped-1=127.0.0.1:2',
      'instances/web/stopped-2=127.0.0.1:3',
    ]);
    await killed.says('held');
    await stopped.says('held');
    await until('all three are there', () => recorder.view.size === 3);
    killed.signal('SIGKILL');
    stopped.signal('SIGSTOP');
    await until('all three expired', () => recorder.view.size === 0);
    await until('their files are gone', async () => (await readdir(join(path, 'instances/web'))).length === 0);
    // Both keys of a lease go in one revision.
    const deletions = recorder.changes.filter((change) => change.includes('delete instances/web/stopped'));
    expect(new Set(deletions.map((change) => change.split(' ')[0])).size).toBe(1);
    stopped.signal('SIGCONT');
    await stopped.says('restored', 2);
    await recorder.sees('instances/web/stopped-1', '127.0.0.1:2');
    await recorder.sees('instances/web/stopped-2', '127.0.0.1:3');
    expect(recorder.view.size).toBe(2);
  });

  test('the keys of a killed process vanish from the first read of a process that starts later', async () => {
    const killed = start(['hold', path, '300', 'instances/web/killed=127.0.0.1:1']);
    await killed.says('held');
    killed.signal('SIGKILL');
    await killed.ended();
    await until('the read is empty', async () => (await open().read('')).entries.length === 0);
    expect((await follow()).values()).toEqual({});
  });

  test.runIf(process.getuid?.() === 0)('a follower that may not write sees a killed process vanish, too', async () => {
    const killed = start(['hold', path, '400', 'instances/web/killed=127.0.0.1:1']);
    await killed.says('held');
    const reader = start(['follow', path], { uid: 65534 });
    await until('the reader sees it', () => JSON.stringify(reader.view) === '{"instances/web/killed":"127.0.0.1:1"}');
    killed.signal('SIGKILL');
    await until('the reader sees it gone', () => JSON.stringify(reader.view) === '{}');
    // Nobody who could delete it runs.
    expect(await readdir(join(path, 'instances/web'))).toEqual(['killed']);
  });

  test('many processes that write at once get one order without a gap', async () => {
    const recorder = await follow();
    const writers = Array.from({ length: 4 }, (_, n) =>
      start(['write', path, n % 2 === 0 ? 'keys/shared' : `keys/own-${n}`, '60']),
    );
    await Promise.all(writers.map((writer) => writer.ended()));
    const revisions = writers.flatMap(({ said }) => said.map(([, revision]) => Number(revision)));
    expect([...revisions].sort((a, b) => a - b)).toEqual(Array.from({ length: 240 }, (_, index) => index + 1));
    await recorder.reached(240n);
    expect(recorder.changes).toHaveLength(240);
    const { entries } = await open().read('keys/');
    expect(recorder.values()).toEqual(Object.fromEntries(entries.map(({ key, value }) => [key, value])));
    for (const { key, value } of entries) expect(await readFile(join(path, key), 'utf8')).toBe(value);
  });

  test('what cannot be a value is ignored, with one warning each, and never a crash', async () => {
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

  test('a value that becomes unusable keeps its last good form', async () => {
    const recorder = await follow();
    await byHand('keys/k', 'good');
    await recorder.sees('keys/k', 'good');
    await byHand('keys/k', Buffer.from([0xff, 0xfe]));
    await until('the warning', () => warnings.length === 1);
    expect(recorder.values()).toEqual({ 'keys/k': 'good' });
  });

  test('a folder that is deleted and made again loses no registration, and no follower is told of emptiness', async () => {
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
    // What the watch does not see, because its folders are replaced while it looks at them, the rescan does.
    const recorder = await follow(open({ rescanMs: 1000 }));
    const session = open({ rescanMs: 1000 }).openSession({ ttlMs: 60_000, mayReplace: () => false, onEvent: () => {} });
    for (let n = 0; n < 20; n += 1) await session.put(`instances/web/web-${n}`, `127.0.0.1:${n + 1}`);
    // Whoever holds something puts it back while rm is at work, which may make rm fail: then once more.
    for (let n = 0; n < 3; n += 1) await promisify(execFile)('rm', ['-rf', path]).catch(() => {});
    await until('all are back', async () => {
      const files = await readdir(join(path, 'instances/web'));
      return files.length === 20 && recorder.view.size === 20;
    });
  });

  test('without the journal, but with the files, live sessions own their keys again', async () => {
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

  test('a copy of the folder keeps what was leased, leased', async () => {
    const killed = start(['hold', path, '1000', 'instances/web/killed=127.0.0.1:1']);
    await killed.says('held');
    await open().write('keys/k', 'value');
    killed.signal('SIGKILL');
    await cp(path, `${path}-copy`, { recursive: true });
    await rm(path, { recursive: true });
    await rename(`${path}-copy`, path);
    const recorder = await follow();
    await until('the dead one expires', () => recorder.view.size === 1);
    expect(recorder.values()).toEqual({ 'keys/k': 'value' });
    expect(warnings).toEqual([]);
  });

  test('a writer that died between its record and its file leaves no ghost', async () => {
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

  test('a key that cannot be a file is refused with the reason', async () => {
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

  test('a folder that cannot be made is said, and followed once it can', async () => {
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

  test('closing leaves no timer, no watcher and no open file', async () => {
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
});
