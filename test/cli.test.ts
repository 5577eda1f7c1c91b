import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { runPointsman } from './support/processes.ts';

async function settingsFile(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pm-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'pointsman.yaml');
  await writeFile(path, text);
  return path;
}

test('--version says which pointsman this is', async () => {
  expect(await runPointsman(['--version'])).toEqual({
    code: 0,
    stdout: [expect.stringMatching(new RegExp(`^pointsman ${packageJson.version} \\([0-9a-f]{12}(-dirty)?\\)$`))],
    stderr: [],
  });
});

test('--help tells the commands and the exit codes, on standard output', async () => {
  const { code, stdout, stderr } = await runPointsman(['--help']);
  expect(code).toBe(0);
  expect(stdout.join('\n')).toMatch(/balance[\s\S]*register[\s\S]*Exit codes: 0 success, 1 failure, 2 /);
  expect(stderr).toEqual([]);
});

test("a command's --help tells each flag with its default", async () => {
  const { code, stdout } = await runPointsman(['register', '--help']);
  const help = stdout.join(' ').replace(/\s+/g, ' ');
  expect(code).toBe(0);
  expect(help).toContain(
    '--ttl <DURATION> how long the registration stays after the process was killed (default: 10s)',
  );
  expect(help).not.toContain('--etcd-password <');
});

test.each([[], ['balance'], ['register']])('the help of %j fits into 80 columns', async (...command) => {
  const { code, stdout } = await runPointsman([...command, '--help']);
  expect(code).toBe(0);
  expect(stdout.filter((line) => [...line].length > 80)).toEqual([]);
});

describe('output that cannot be written', () => {
  const shell = async (script: string) => {
    const run = execa({ reject: false, timeout: 30_000, shell: true, cwd: join(import.meta.dirname, '..') });
    const { stdout, stderr } = await run`${script}`;
    return [stdout, stderr];
  };

  test('because its reader has gone ends a command without a word', async () => {
    expect(await shell('{ bin/pointsman man; echo "ended with $?" >&2; } | true')).toEqual(['', 'ended with 0']);
    const folder = await mkdtemp(join(tmpdir(), 'pm-cli-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [first, last] = await shell(
      `{ bin/pointsman status --watch --registry dir:${folder}; echo "ended with $?" >&2; } | head -n 3`,
    );
    expect(first).toMatch(/revision 0/);
    expect(last).toBe('ended with 0');
  });

  test('for another reason is an error in a line', async () => {
    expect(await shell('bin/pointsman man >/dev/full')).toEqual([
      '',
      'pointsman: standard output cannot be written: no space left on device',
    ]);
  });
});

describe('a wrong call ends with exit code 2, and one line for each mistake', () => {
  test.each<[string[], Record<string, string>, string]>([
    [[], {}, 'pointsman: no command given (see pointsman --help)'],
    [['regster'], {}, "pointsman: unknown command 'regster' (Did you mean register?) (see pointsman --help)"],
    [
      ['balance', '--htp', 'x'],
      {},
      "pointsman: unknown option '--htp' (Did you mean --http?) (see pointsman balance --help)",
    ],
    [
      ['balance', '--http'],
      {},
      "pointsman: option '--http <HOST:PORT>' argument missing (see pointsman balance --help)",
    ],
    [
      ['balance', 'now'],
      {},
      "pointsman: too many arguments for 'balance'. Expected 0 arguments but got 1. (see pointsman balance --help)",
    ],
    [['balance', '--http', '80'], {}, 'pointsman: --http: "80" is not host:port'],
    [['balance'], { POINTSMAN_ADMIN: ':1' }, 'pointsman: POINTSMAN_ADMIN: ":1" is not host:port'],
    [
      ['balance', '--etcd-password', 'x'],
      {},
      "pointsman: unknown option '--etcd-password' (see pointsman balance --help)",
    ],
    [
      ['register', '--service', 'web'],
      {},
      'pointsman: --address: it is missing (give the flag, POINTSMAN_ADDRESS, or address in the settings file: where the balancers reach the instance)',
    ],
    [
      ['balance', '--config', '/nowhere.yaml'],
      {},
      'pointsman: /nowhere.yaml: the settings file cannot be read: no such file or directory',
    ],
  ])('%j %j', async (args, env, line) => {
    expect(await runPointsman(args, { env })).toEqual({ code: 2, stdout: [], stderr: [line] });
  });

  test('in the settings file, with the place', async () => {
    const path = await settingsFile('http: 127.0.0.1:0\nreload-intervall: 1s\n');
    expect(await runPointsman(['balance', '--config', path])).toEqual({
      code: 2,
      stdout: [],
      stderr: [
        `pointsman: ${path}:2:1: reload-intervall: unknown setting (did you mean reload-interval?)`,
        `pointsman: ${path}:1:7: http: "0" is not a port: 1 to 65535`,
      ],
    });
  });
});
