import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { instances, startFiles } from '../support/files.ts';
import { until } from '../support/until.ts';

test('a check that fails keeps the old file, says what the command said, and ends --once with 1', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'bad');
  await files.declare({
    src: 't/a.mustache',
    dest: 'a',
    check: ['sh', '-c', 'echo "line 1 of $1 is bad" >&2; exit 7', 'check', '{{staged}}'],
    reload: ['touch', files.path('reloaded')],
  });
  await files.write('a', 'old');
  const { code, stderr } = await files.run('--once');
  expect(code).toBe(1);
  expect(stderr).toEqual([
    expect.stringMatching(
      /^pointsman: .*\/a: the check refuses the new file: sh: it ended with exit code 7: line 1 of .*\/\.a\.[0-9a-f]+ is bad \(it is kept as .*\/\.a\.refused; the old file stays\)$/,
    ),
  ]);
  expect(await files.read('a')).toBe('old');
  expect(await files.read('.a.refused')).toBe('bad');
  expect((await readdir(files.dir)).sort()).toEqual(['.a.refused', 'a', 'pointsman.yaml', 'registry', 't']);
});

test('a check that failed is tried again by itself', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  await files.declare({
    src: 't/a.mustache',
    dest: 'a',
    check: ['sh', '-c', `test -e ${files.path('ready')} # {{staged}}`],
  });
  const pointsman = await files.keep();
  expect(await pointsman.logged('file-refused')).toMatchObject({ retryMs: 1000 });
  await files.write('ready', '');
  await files.becomes('a', 'new');
  await until('the refused one is gone', async () => !(await readdir(files.dir)).includes('.a.refused'));
});

test('a reload that fails is said, tried again, and remembered over a restart', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  const reload = ['sh', '-c', `echo no; test -e ${files.path('ready')} && echo >> ${files.path('reloads')}`];
  await files.declare({ src: 't/a.mustache', dest: 'a', reload });
  const once = await files.run('--once');
  expect(once.code).toBe(1);
  expect(once.stderr).toEqual([
    expect.stringMatching(
      /\/a: the reload failed: sh: it ended with exit code 1: no \(the new file is in place, but not in use yet\)$/,
    ),
  ]);
  expect(await files.read('a')).toBe('new');

  const pointsman = await files.keep();
  expect(await pointsman.logged('file-reload-failed')).toMatchObject({ attempt: 1, retryMs: 1000, output: 'no' });
  expect(await pointsman.logged('file-reload-failed', ({ attempt }) => attempt === 2)).toMatchObject({ retryMs: 2000 });
  await files.write('ready', '');
  await pointsman.logged('file-reloaded');
  expect(await files.read('reloads')).toBe('\n');
  expect(await files.run('--once')).toMatchObject({ code: 0 });
  expect(await files.read('reloads')).toBe('\n');
});

test('a command that does not end is ended, with what it started', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  const reload = ['sh', '-c', `sleep 1000 & echo $! > ${files.path('pid')}; wait`];
  await files.declare({ src: 't/a.mustache', dest: 'a', reload, timeout: '500ms' });
  const { code, stderr } = await files.run('--once');
  expect(code).toBe(1);
  expect(stderr[0]).toContain('the reload failed: sh: it took longer than 500 ms');
  const pid = Number(await files.read('pid'));
  await until('the sleeper is gone', () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
});

test('several files with one reload command are reloaded once', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', instances);
  const reload = `sh -c 'cat ${files.path('a')} ${files.path('b')} >> ${files.path('reloads')}'`;
  await files.declare(
    { src: 't/a.mustache', dest: 'a', reload },
    { src: 't/a.mustache', dest: 'b', reload },
    { src: 't/a.mustache', dest: 'c', reload: ['touch', files.path('other')] },
  );
  await files.put('/instances/web/a', '10.0.0.1:80');
  await files.keep();
  const text = 'one of web: 10.0.0.1:80\n';
  await files.becomes('reloads', text + text);
  await files.put('/instances/web/a', '10.0.0.2:80');
  const next = 'one of web: 10.0.0.2:80\n';
  await files.becomes('reloads', text + text + next + next);
  await until('the other is reloaded, too', async () => (await readdir(files.dir)).includes('other'));
});
