import { rm } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { startFiles } from '../support/files.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

/** A check that notes that it began, and hangs as long as a file is there. */
const hangs = (began: string, whileThere: string) => [
  'sh',
  '-c',
  `echo >> ${began}; while test -e ${whileThere}; do sleep 0.1; done # {{staged}}`,
];

test('a check that hangs delays no other file, and a change that comes meanwhile is not lost', async () => {
  const files = await startFiles('etcd');
  await files.write('t/a.mustache', '{{keys.a}}');
  await files.write('t/b.mustache', '{{keys.b}}');
  await files.write('hang', '');
  await files.declare(
    { src: 't/a.mustache', dest: 'a', check: hangs(files.path('began'), files.path('hang')), timeout: '1h' },
    { src: 't/b.mustache', dest: 'b', check: 'test -e {{staged}}', reload: ['touch', files.path('reloaded')] },
  );
  await files.put(files.own('keys/a'), 'a1');
  await files.put(files.own('keys/b'), 'b1');
  const admin = await freePort();
  await files.keep('--admin', `127.0.0.1:${admin}`);
  await files.becomes('b', 'b1');
  await until('the check hangs', async () => (await files.read('began')) !== '');
  await files.put(files.own('keys/a'), 'a2');
  await files.put(files.own('keys/b'), 'b2');
  await files.becomes('b', 'b2');
  const ofA = async () => JSON.parse((await ask(admin, 'localhost', '/status')).body).files[0];
  await until('the status says so', async () =>
    /^its check or the disk has not answered for \d+ s$/.test((await ofA()).stalled),
  );
  expect(await files.read('a')).toBe('');
  await files.remove(files.own('keys/b'));
  await files.put(files.own('keys/b'), 'b3');
  await files.becomes('b', 'b3');
  await rm(files.path('hang'));
  await files.becomes('a', 'a2');
});

test('more hanging checks than commands may begin at once do not keep a neighbour from its own', async () => {
  const files = await startFiles('etcd');
  const hanging = Array.from({ length: 24 }, (_, n) => `h${n}`);
  await files.write('t/a.mustache', '{{keys.n}}');
  await files.write('hang', '');
  const check = hangs(files.path('began'), files.path('hang'));
  await files.declare(...hanging.map((dest) => ({ src: 't/a.mustache', dest, check, timeout: '1h' })), {
    src: 't/a.mustache',
    dest: 'b',
    check: 'test -e {{staged}}',
  });
  await files.put(files.own('keys/n'), '1');
  await files.keep();
  await files.becomes('b', '1');
  await until('all of them hang', async () => (await files.read('began')).length === 24);
  await files.put(files.own('keys/n'), '2');
  await files.becomes('b', '2');
  expect(await files.read('h0')).toBe('');
});

test('a reload that hangs delays neither the files that share it nor the reloads of others', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const hanging = ['sh', '-c', `echo >> ${files.path('began')}; sleep 1000`];
  await files.declare(
    { src: 't/a.mustache', dest: 'a', reload: hanging, timeout: '1h' },
    { src: 't/a.mustache', dest: 'b', reload: hanging, timeout: '1h' },
    { src: 't/a.mustache', dest: 'c', reload: ['cp', files.path('c'), files.path('loaded')] },
  );
  await files.put('/keys/n', '1');
  const pointsman = await files.keep();
  await files.becomes('loaded', '1');
  await until('the reload hangs', async () => (await files.read('began')) === '\n');
  await files.put('/keys/n', '2');
  await files.becomes('a', '2');
  await files.becomes('b', '2');
  await files.becomes('loaded', '2');
  expect(await files.read('began')).toBe('\n');
  pointsman.kill('SIGTERM');
  await pointsman.ended;
});

test('a file that is replaced while its reload runs is reloaded again', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const path = files.path;
  const reload = [
    'sh',
    '-c',
    `cat ${path('a')} >> ${path('loaded')}; while test -e ${path('hang')}; do sleep 0.1; done`,
  ];
  await files.write('hang', '');
  await files.declare({ src: 't/a.mustache', dest: 'a', reload, timeout: '1h' });
  await files.put('/keys/n', '1');
  await files.keep();
  await files.becomes('loaded', '1');
  await files.put('/keys/n', '2');
  await files.becomes('a', '2');
  await rm(path('hang'));
  await files.becomes('loaded', '12');
  await until('nothing is due any more', async () => (await files.read('.a.reload-due')) === '');
});

test('a command that writes without end fills no disk, and the end of it is told', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'x');
  const check = [
    'sh',
    '-c',
    'yes "a line that is said again" & sleep 1; kill $!; wait; echo last words; exit 3; : {{staged}}',
  ];
  await files.declare({ src: 't/a.mustache', dest: 'a', check });
  const { code, stderr } = await files.run('--once');
  expect(code).toBe(1);
  expect(stderr[0]).toMatch(/it ended with exit code 3: .*last words/s);
  expect(stderr.join('\n').length).toBeLessThan(6000);
});

test('what a reload says is in the log at debug, and at error when it fails', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const reload = ['sh', '-c', `echo loading $(cat ${files.path('a')}); grep -q good ${files.path('a')}`];
  await files.declare({ src: 't/a.mustache', dest: 'a', reload });
  await files.put('/keys/n', 'good');
  const pointsman = await files.keep('--log-level', 'debug');
  expect(await pointsman.logged('file-reload-output')).toMatchObject({ level: 'debug', output: 'loading good' });
  await files.put('/keys/n', 'bad');
  expect(await pointsman.logged('file-reload-failed')).toMatchObject({ level: 'error', output: 'loading bad' });
});

test('an end while a check runs lets it finish, and does the reload that it calls for', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  await files.write('hang', '');
  await files.declare({
    ...{ src: 't/a.mustache', dest: 'a', check: hangs(files.path('began'), files.path('hang')) },
    reload: ['cp', files.path('a'), files.path('loaded')],
  });
  const pointsman = await files.keep();
  await until('the check runs', async () => (await files.read('began')) !== '');
  pointsman.kill('SIGTERM');
  await pointsman.logged('stopping');
  await rm(files.path('hang'));
  expect(await pointsman.ended).toEqual({ code: 0, signal: null });
  expect(await files.read('loaded')).toBe('new');
});
