import { getEventListeners } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { timeLimit } from '../waiting/time-limit.ts';
import { validateConfig } from './check.ts';
import { isAlive, runWithin } from './processes.ts';

async function script(text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'pm-within-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'script');
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
  return path;
}

test('a check ends at its deadline, although its script waits for a child of its own', async () => {
  const began = performance.now();
  const checked = await validateConfig(await script('sleep 60\n:'), '/dev/null', 300.5);
  expect(performance.now() - began).toBeLessThan(30_000);
  expect(checked).toMatchObject({ ok: false, mayPass: 'deadline' });
  if (!checked.ok) expect(checked.problems[0]?.text).toContain('took longer than 301 ms');
});

test('what a command started ends with it, and what has left its group is not waited for', async () => {
  const within = { deadlineMs: 500, graceMs: 50 };
  const { ended, output } = await runWithin(await script('sleep 60 &\necho $!\nwait'), [], within);
  expect(ended).toBe('deadline');
  expect(Number(output)).toBeGreaterThan(0);
  expect(isAlive(Number(output))).toBe(false);
  const began = performance.now();
  const path = await script('setsid sleep 40 &\necho $! >"$0.left"\nwait');
  expect((await runWithin(path, [], within)).ended).toBe('deadline');
  expect(performance.now() - began).toBeLessThan(30_000);
  const left = Number(await readFile(`${path}.left`, 'utf8'));
  expect(left).toBeGreaterThan(0);
  process.kill(left);
});

test('a signal that lives longer than a command keeps nothing of it', async () => {
  const { signal } = new AbortController();
  await runWithin(await script(':'), [], { deadlineMs: 30_000, graceMs: 50, signal });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a command that ends by itself gives its output and its exit code', async () => {
  const ran = await runWithin(await script('echo out; echo err >&2; exit 3'), [], { deadlineMs: 30_000, graceMs: 50 });
  expect(ran).toMatchObject({ exitCode: 3, output: 'out\nerr', ended: undefined });
  const signal = timeLimit(100);
  const long = await runWithin(await script('exec sleep 60'), [], { deadlineMs: 30_000, graceMs: 50, signal });
  expect(long.ended).toBe('signal');
  const none = await runWithin('/nonexistent', [], { deadlineMs: 30_000, graceMs: 50 });
  expect(none).toMatchObject({ exitCode: undefined, ended: undefined, failure: expect.stringContaining('ENOENT') });
});

const src = join(import.meta.dirname, '..');

// execa's default is to end its own process at SIGTERM and SIGINT while a child runs.
test('no child process is run with a clean-up that ends pointsman', async () => {
  const names = await readdir(src, { recursive: true });
  for (const name of names.filter((one) => one.endsWith('.ts') && !one.endsWith('.test.ts'))) {
    const text = await readFile(join(src, name), 'utf8');
    const calls = text.match(/\bexeca\(/g)?.length ?? 0;
    const guarded = text.match(/\.\.\.apart\b|cleanup: false/g)?.length ?? 0;
    if (name !== 'haproxy/processes.ts') expect({ name, guarded }).toEqual({ name, guarded: calls });
  }
});
