import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { instances, startFiles } from '../support/files.ts';

describe('a template', () => {
  test('is read again when it or its partial changes, and a broken one changes nothing', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', 'one {{> p}}');
    await files.write('t/p.mustache', '{{keys.n}}');
    await files.declare({ src: 't/a.mustache', dest: 'a' });
    await files.put('/keys/n', '1');
    const pointsman = await files.keep();
    await files.becomes('a', 'one 1');
    await files.write('t/a.mustache', 'two {{> p}}');
    await files.becomes('a', 'two 1');
    await files.write('t/p.mustache', 'x\n {{kyes.n}}');
    expect(await pointsman.logged('template-refused')).toMatchObject({
      reason: expect.stringMatching(/\/t\/p\.mustache:2:2: \{\{kyes\.n\}\} is not known to this template/),
    });
    await files.put('/keys/n', '2');
    await files.becomes('a', 'two 2');
    await files.write('t/p.mustache', '({{keys.n}})');
    await files.becomes('a', 'two (2)');
  });

  test('that is broken at the start is named, each with its place, and nothing is made', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', 'a\n{{#keys}}');
    await files.declare({ src: 't/a.mustache', dest: 'a' }, { src: 't/none.mustache', dest: 'b' });
    const { code, stderr } = await files.run();
    expect(code).toBe(1);
    expect(stderr).toEqual([
      expect.stringMatching(/^pointsman: .*\/t\/a\.mustache:2:10: Unclosed section "keys"$/),
      expect.stringMatching(/^pointsman: .*\/t\/none\.mustache: there is no such file$/),
    ]);
  });

  test('that comes to need the services is given them', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', 'nothing');
    await files.declare({ src: 't/a.mustache', dest: 'a' });
    await files.put('/instances/web/a', '10.0.0.1:80');
    await files.keep();
    await files.becomes('a', 'nothing');
    await files.write('t/a.mustache', instances);
    await files.becomes('a', 'one of web: 10.0.0.1:80\n');
  });
});

describe('a dry run', () => {
  test('says what would be made, and makes nothing', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', '{{keys.n}}\n');
    const check = ['sh', '-c', `touch ${files.path('checked')} {{staged}}`];
    const declared = ['a', 'b', 'c'].map((dest) => ({ src: 't/a.mustache', dest, check }));
    await files.declare(...declared, { src: 't/bad.mustache', dest: 'd' });
    await files.write('t/bad.mustache', '{{keys.none}}');
    await files.put('/keys/n', '1');
    await files.write('a', '1\n');
    await files.write('b', '0\n');
    const dry = await files.run('--dry-run');
    expect(dry.stdout).toEqual([
      `unchanged ${files.path('a')}`,
      `would change ${files.path('b')}`,
      `would make ${files.path('c')}`,
    ]);
    expect(dry).toMatchObject({
      code: 1,
      stderr: [expect.stringContaining('bad.mustache:1:1: {{keys.none}} is not there')],
    });
    expect((await readdir(files.dir)).sort()).toEqual(['a', 'b', 'pointsman.yaml', 'registry', 't']);
  });

  test('shows the difference', async () => {
    const files = await startFiles();
    await files.write('t/a.mustache', 'one\n{{keys.n}}\nthree\n');
    await files.declare({ src: 't/a.mustache', dest: 'a' });
    await files.put('/keys/n', '2');
    await files.write('a', 'one\n1\nthree\n');
    const { code, stdout } = await files.run('--diff');
    expect(code).toBe(0);
    expect(stdout).toEqual([
      `--- ${files.path('a')}`,
      `+++ ${files.path('a')}`,
      '@@ -1,3 +1,3 @@',
      ' one',
      '-1',
      '+2',
      ' three',
    ]);
  });
});
