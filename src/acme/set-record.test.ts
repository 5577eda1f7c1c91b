import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { recordSetter, updateOf } from './set-record.ts';

const name = '_acme-challenge.example.com.';

test('an update adds one value, and removes only that one', () => {
  expect(updateOf('192.0.2.1:5353', 'present', name, 'v')).toBe(
    `server 192.0.2.1 5353\nupdate add ${name} 60 TXT "v"\nsend\n`,
  );
  expect(updateOf('ns.example.com', 'cleanup', name, 'v')).toBe(
    `server ns.example.com 53\nupdate delete ${name} TXT "v"\nsend\n`,
  );
  expect(updateOf('[2001:db8::1]:5353', 'present', name, 'v')).toContain('server 2001:db8::1 5353\n');
});

async function commandOf(script: string) {
  const dir = await mkdtemp(join(tmpdir(), 'pm-dns-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'command');
  await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { dir, set: recordSetter({ kind: 'command', file }, process.env) };
}

test('a command gets the action, the name and the value, as that of lego does', async () => {
  const { dir, set } = await commandOf(`echo "$EXEC_MODE $@" > "$(dirname "$0")/args"`);
  await set('present', name, 'value', new AbortController().signal);
  expect(await readFile(join(dir, 'args'), 'utf8')).toBe(`default present ${name} value\n`);
});

test('the error of a command that failed has its output', async () => {
  const { set } = await commandOf('echo "no such zone" >&2; exit 3');
  await expect(set('present', name, 'value', new AbortController().signal)).rejects.toThrow(
    /exit code 3: no such zone/,
  );
});

test('a command ends when the balancer does, with all that it started', async () => {
  const { dir, set } = await commandOf(
    `sleep 60 & echo $! > "$(dirname "$0")/pid.new"; cd "$(dirname "$0")"; mv pid.new pid; wait`,
  );
  const end = new AbortController();
  const running = set('present', name, 'value', end.signal);
  const failed = expect(running).rejects.toThrow(/pointsman ends/);
  const pid = await until('the command runs', () => readFile(join(dir, 'pid'), 'utf8').catch(() => undefined));
  end.abort();
  await failed;
  await until('nothing of it runs', () => !isAlive(Number(pid)));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
