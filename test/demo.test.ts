import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { startOnTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';

const root = join(import.meta.dirname, '..');

/** The command lines of all processes that name this folder. */
async function processesOf(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.filter((line) => line.includes(folder));
}

/** A folder for the temporary files of one demo: nothing of it may be left. */
async function temporaryFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function nothingIsLeft(folder: string): Promise<void> {
  expect(await processesOf(folder)).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
}

const failures = (lines: readonly string[]) =>
  lines.filter((line) => line.includes('answered:') && !line.includes('0 failed'));

test('the demo shows instances that come and go, its commands work as they are printed, and nothing is left behind', async () => {
  const folder = await temporaryFolder();
  const demo = startPointsman(['demo', '--every', '400ms'], { cwd: root, env: { TMPDIR: folder } });
  await demo.printed('curl http://127.0.0.1:');
  await demo.printed('web-5');
  await until('one has left', () => demo.stdout.some((line) => /web-4.* leaves/.test(line)));
  await until('all was answered', () => demo.stdout.filter((line) => line.includes('answered:')).length >= 4);
  expect((await processesOf(folder)).length).toBeGreaterThan(3);

  const commands = demo.stdout.flatMap((line) => /^ {2}(bin\/pointsman .*)/.exec(line)?.[1] ?? []);
  const shows = [/^web +\d/m, /drain/, /serving/];
  expect(commands).toHaveLength(shows.length);
  for (const [i, command] of commands.entries()) {
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: root });
    expect(stdout).toMatch(shows[i] ?? '');
  }
  const [status = '', drain = ''] = commands;
  await promisify(execFile)('sh', ['-c', drain.replace(' drain ', ' undrain ')], { cwd: root });
  expect((await promisify(execFile)('sh', ['-c', status], { cwd: root })).stdout).not.toContain('draining');

  // A terminal that is closed.
  demo.kill('SIGHUP');
  expect((await demo.ended).code).toBe(0);
  const end = demo.stdout.findIndex((line) => line.includes('nothing is left behind'));
  expect(demo.stdout.slice(end + 1).filter((line) => line.includes('served'))).toEqual([]);
  expect(failures(demo.stdout)).toEqual([]);
  await nothingIsLeft(folder);
});

test('a rolling deploy, a canary and a crash are shown on request, on a real etcd, and then the demo ends', async () => {
  const folder = await temporaryFolder();
  const env = { TMPDIR: folder };
  const demo = startPointsman(['demo', '--etcd', '--show', 'deploy,canary,crash'], { env });
  expect((await demo.ended).code).toBe(0);
  const text = demo.stdout.join('\n');
  expect(text).toMatch(/rolling deploy over after .*answered, 0 failed/);
  expect(text).toMatch(/web: 10% to v3\n[\s\S]*web: 100% to v3; done\n[\s\S]*canary over after .*answered, 0 failed/);
  expect(text).toMatch(
    /web-2 is killed[\s\S]*web\/web-2 is gone[\s\S]*web-2 joins with version v3[\s\S]*crash over after/,
  );
  await nothingIsLeft(folder);
});

test('on a terminal a key asks for it, and Ctrl-C in the middle of it leaves nothing behind', async () => {
  const folder = await temporaryFolder();
  const demo = startOnTerminal(['demo'], { TMPDIR: folder });
  await demo.shows('press d');
  demo.type('dc');
  await demo.shows('rolling deploy of v2');
  await demo.shows('the rolling deploy is not over yet');
  await demo.shows('joins with version v2');
  demo.type('\u0003');
  await demo.shows('nothing is left behind');
  demo.type('\u0003');
  expect(await demo.ended).toBe(0);
  for (const line of demo.lines) if (!line.includes('--registry')) expect(line.length).toBeLessThanOrEqual(80);
  await nothingIsLeft(folder);
});
