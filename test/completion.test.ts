import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runPointsman } from './support/processes.ts';

const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;

async function scriptFor(shell: string): Promise<string> {
  const { code, stdout } = await runPointsman(['completion', shell]);
  expect(code).toBe(0);
  return `${stdout.join('\n')}\n`;
}

describe('bash completes', () => {
  /** The words that Tab offers after these words, the last of which is not finished. */
  async function offered(script: string, words: readonly string[], cwd = import.meta.dirname): Promise<string[]> {
    const list = words.map((word) => `'${word}'`).join(' ');
    const ask = `COMP_WORDS=(pointsman ${list}); COMP_CWORD=${words.length}; _pointsman 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await execa('bash', ['--norc', '-c', `${script}\n${ask}`], { cwd });
    return stdout.split('\n').filter((line) => line !== '');
  }

  test('a command, its flags, and the values of a flag that has few', async () => {
    const script = await scriptFor('bash');
    expect(await offered(script, ['reg'])).toEqual(['register']);
    expect(await offered(script, ['balance', '--haproxy-mo'])).toEqual(['--haproxy-mode']);
    expect(await offered(script, ['balance', '--haproxy-mode', ''])).toEqual(['managed', 'attached', 'command']);
    expect(await offered(script, ['register', '--log-level', 'd'])).toEqual(['debug']);
    expect(await offered(script, ['completion', 'f'])).toEqual(['fish']);
    expect(await offered(script, ['register', '--service', ''])).toEqual([]);
  });

  test('a path where a file or a folder is meant, with its spaces', async () => {
    const script = await scriptFor('bash');
    const folder = await mkdtemp(join(tmpdir(), 'pm-complete-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'point s.yaml'), '');
    expect(await offered(script, ['balance', '--config', 'po'], folder)).toEqual(['point s.yaml']);
    expect(await offered(script, ['balance', '--dir', 'po'], folder)).toEqual([]);
  });

  test("a command's name after --", async () => {
    const script = await scriptFor('bash');
    expect(await offered(script, ['register', '--', 'has'])).toContain('hash');
  });
});

test.skipIf(!has('zsh'))('zsh reads its completion', async () => {
  const script = await scriptFor('zsh');
  const { stdout } = await execa('zsh', ['-f', '-c', `autoload -U compinit; compinit -D -u; ${script}; echo \${_comps[pointsman]}`]); // biome-ignore format: one command
  expect(stdout).toBe('_pointsman');
});

test.skipIf(!has('fish'))('fish completes', async () => {
  const script = await scriptFor('fish');
  const offered = async (line: string) => {
    const { stdout } = await execa('fish', ['--no-config', '-c', `${script}\ncomplete -C '${line}'`]);
    return stdout.split('\n').map((one) => one.split('\t')[0]);
  };
  expect(await offered('pointsman reg')).toEqual(['register']);
  expect(await offered('pointsman balance --haproxy-mode ')).toEqual(expect.arrayContaining(['attached', 'command']));
});

test('a shell that is not known is refused with those that are', async () => {
  expect(await runPointsman(['completion', 'tcsh'])).toEqual({
    code: 2,
    stdout: [],
    stderr: ['pointsman: "tcsh" is not one of bash, zsh, fish'],
  });
});

test('the manual page has every command and setting, and no mistake that groff knows', async () => {
  const { code, stdout } = await runPointsman(['man']);
  expect(code).toBe(0);
  const page = stdout.join('\n');
  for (const part of [
    '.SS balance',
    '.SS register',
    '\\fBPOINTSMAN_ETCD_PASSWORD\\fR',
    '\\fB\\-\\-haproxy\\-mode\\fR',
  ]) {
    expect(page).toContain(part);
  }
  if (!has('groff')) return;
  const groff = spawnSync('groff', ['-man', '-ww', '-z'], { input: page });
  expect(groff.stderr.toString()).toBe('');
});
