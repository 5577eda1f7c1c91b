import { expect, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { until } from '../support/until.ts';

test('a registry that does not answer is an error for --once, and no reason to write an empty file', async () => {
  const files = await startFiles('etcd');
  await files.write('t/a.mustache', '{{#services}}{{name}}{{/services}}');
  await files.declare({ src: 't/a.mustache', dest: 'a' });
  await files.write('a', 'old');
  await files.etcd?.close();
  const { code, stderr } = await files.run('--once');
  expect(code).toBe(1);
  expect(stderr).toEqual([expect.stringContaining('--registry: no file was made: ')]);
  expect(await files.read('a')).toBe('old');
});

test('an end waits for a command that runs for a moment, and leaves nothing behind', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  const check = ['sh', '-c', `echo $$ > ${files.path('pid')}; sleep 1000; echo {{staged}}`];
  await files.declare({ src: 't/a.mustache', dest: 'a', check, timeout: '1h' });
  await files.write('a', 'old');
  const pointsman = await files.keep();
  const pid = await until('the check runs', async () => Number(await files.read('pid')) || undefined);
  pointsman.kill('SIGTERM');
  expect(await pointsman.ended).toEqual({ code: 0, signal: null });
  expect(await pointsman.logged('file-refused').catch(String)).toMatchObject({
    reason: expect.stringContaining('the check refuses the new file: sh: pointsman ends'),
  });
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(await files.read('a')).toBe('old');
});
