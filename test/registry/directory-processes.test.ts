import { chmod, cp, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { until } from '../support/until.ts';
import { buildProcess, Child } from './child.ts';
import { startFolder } from './folder.ts';

let scratch: string;
let program: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'pm-dirs-'));
  await chmod(scratch, 0o755);
  program = await buildProcess(scratch, 'directory-process', 'bundle');
});

afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A process that uses the folder, until the test is finished. */
function start(args: readonly string[], as: { uid?: number } = {}): Child {
  const child = new Child(program, args, as);
  onTestFinished(() => child.close());
  return child;
}

test('the keys of a killed process vanish, and those of a stopped one come back when it goes on', async () => {
  const { follow, path } = await startFolder();
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
  const { follow, open, path } = await startFolder();
  const killed = start(['hold', path, '300', 'instances/web/killed=127.0.0.1:1']);
  await killed.says('held');
  killed.signal('SIGKILL');
  await killed.ended();
  await until('the read is empty', async () => (await open().read('')).entries.length === 0);
  expect((await follow()).values()).toEqual({});
});

test.runIf(process.getuid?.() === 0)('a follower that may not write sees a killed process vanish, too', async () => {
  const { path } = await startFolder();
  const killed = start(['hold', path, '400', 'instances/web/killed=127.0.0.1:1']);
  await killed.says('held');
  const reader = start(['follow', path], { uid: 65534 });
  await until('the reader sees it', () => JSON.stringify(reader.view) === '{"instances/web/killed":"127.0.0.1:1"}');
  killed.signal('SIGKILL');
  await until('the reader sees it gone', () => JSON.stringify(reader.view) === '{}');
  // No process runs that could delete the file.
  expect(await readdir(join(path, 'instances/web'))).toEqual(['killed']);
});

test('many processes that write at once get one order without a gap', async () => {
  const { follow, open, path } = await startFolder();
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

test('a copy of the folder keeps what was leased, leased', async () => {
  const { follow, open, path, warnings } = await startFolder();
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
