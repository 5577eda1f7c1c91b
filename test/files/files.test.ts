import { chmod, readdir, readlink, stat, symlink } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { instances, startFiles } from '../support/files.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

describe.each(['folder', 'etcd'] as const)('in a %s', (kind) => {
  test('a file follows services and keys, is checked before and reloaded after', async () => {
    const files = await startFiles(kind);
    await files.write(
      't/a.mustache',
      '{{keys.app.title}}\n{{#service.web}}{{#instances}}{{address}}\n{{/instances}}{{/service.web}}',
    );
    await files.declare({
      src: 't/a.mustache',
      dest: 'out/a.conf',
      mode: '0640',
      check: [
        'sh',
        '-c',
        `grep -q title {{staged}} && cat ${files.path('out/a.conf')} {{staged}} >> ${files.path('checks')}; true`,
      ],
      reload: [
        'sh',
        '-c',
        `cat ${files.path('out/a.conf')} > ${files.path('loaded')}; echo >> ${files.path('reloads')}`,
      ],
    });
    await files.put(files.own('keys/app/title'), 'title one');
    await files.put(files.own('instances/web/a'), '10.0.0.1:80');
    const pointsman = await files.keep('--log-level', 'debug');
    expect(await pointsman.logged('file-refused')).toMatchObject({ code: 'template' });
    await files.put(files.own('keys/app/title'), 'title-1');
    await files.becomes('loaded', 'title-1\n10.0.0.1:80\n');
    expect((await stat(files.path('out/a.conf'))).mode & 0o777).toBe(0o640);

    await files.put(files.own('instances/web/b'), '{"address":"10.0.0.2","port":80}');
    await files.becomes('loaded', 'title-1\n10.0.0.1:80\n10.0.0.2:80\n');
    await files.remove(files.own('instances/web/a'));
    await files.becomes('loaded', 'title-1\n10.0.0.2:80\n');
    expect(await files.read('checks')).toContain('title-1\n10.0.0.1:80\n10.0.0.2:80\ntitle-1\n10.0.0.2:80\n');
    await until('nothing else is left', async () => (await readdir(files.path('out'))).join() === 'a.conf');
    pointsman.kill('SIGTERM');
    expect(await pointsman.ended).toEqual({ code: 0, signal: null });
  });

  test('a file follows a tree that is not its own, and no more of it than it names', async () => {
    const files = await startFiles(kind);
    await files.write(
      't/a.mustache',
      '{{#keys.web.*}}{{name}}={{value}} {{/keys.web.*}}{{#keys.title}}{{.}}{{/keys.title}}',
    );
    await files.declare({ src: 't/a.mustache', dest: 'a', prefix: '/prod', keys: ['/web', '/title'] });
    await files.put('/prod/web/1', '10.0.0.1:80');
    await files.put('/prod/web2/1', 'another');
    await files.keep();
    await files.becomes('a', '1=10.0.0.1:80 ');
    await files.put('/prod/web/2', '10.0.0.2:80');
    await files.put('/prod/title', 'T');
    await files.becomes('a', '1=10.0.0.1:80 2=10.0.0.2:80 T');
    await files.remove('/prod/web/1');
    await files.becomes('a', '2=10.0.0.2:80 T');
  });
});

test("a tree in another's layout gives services", async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', instances);
  await files.declare({ src: 't/a.mustache', dest: 'a' });
  await files.put('/backends/web/1', '10.0.0.1:80');
  expect(await files.run('--once', '--layout', 'plain')).toMatchObject({ code: 0, stderr: [] });
  expect(await files.read('a')).toBe('one of web: 10.0.0.1:80\n');
});

test('health and metrics tell what became of each file', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const check = ['sh', '-c', 'grep -q good {{staged}}'];
  await files.declare({ src: 't/a.mustache', dest: 'a', check });
  await files.put('/keys/n', 'good');
  const admin = await freePort();
  await files.keep('--admin', `127.0.0.1:${admin}`);
  await files.becomes('a', 'good');
  const get = (path: string) => ask(admin, 'localhost', path);
  expect(await get('/healthz')).toEqual({ status: 200, body: 'ok\n' });
  await until('it is ready', async () => (await get('/readyz')).status === 200);
  const dest = files.path('a');
  const results = `pointsman_file_results_total{dest="${dest}",result="replaced"} 1`;
  const body = await until('the file is counted', async () => {
    const metrics = (await get('/metrics')).body;
    return metrics.includes(results) && metrics;
  });
  expect(body).toContain('pointsman_registry_connected 1');
  expect(body).toContain(`pointsman_file_failed{dest="${dest}"} 0`);
  expect(body).toMatch(/^pointsman_revision_seen [1-9]/m);
  await files.put('/keys/n', 'bad');
  await until('it is not ready', async () => (await get('/readyz')).status === 503);
  expect((await get('/metrics')).body).toContain(`pointsman_file_failed{dest="${dest}"} 1`);
  expect(JSON.parse((await get('/status')).body)).toMatchObject({
    ready: false,
    registry: { connected: true },
    files: [{ dest, refused: expect.stringContaining('the check refuses') }],
  });
});

test('what is unchanged is not written, not checked and not reloaded', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', instances);
  await files.declare({
    src: 't/a.mustache',
    dest: 'a',
    check: ['sh', '-c', `echo {{staged}} >> ${files.path('checks')}`],
    reload: ['sh', '-c', `echo >> ${files.path('reloads')}`],
  });
  await files.put('/instances/web/a', '10.0.0.1:80');
  expect(await files.run('--once')).toMatchObject({ code: 0, stdout: [], stderr: [] });
  const before = await stat(files.path('a'));
  await chmod(files.path('a'), 0o600);
  expect(await files.run('--once')).toMatchObject({ code: 0 });
  const after = await stat(files.path('a'));
  expect(after.ino).toBe(before.ino);
  expect(after.mode & 0o777).toBe(0o600);
  expect((await files.read('checks')).split('\n')).toHaveLength(2);
  expect(await files.read('reloads')).toBe('\n');
});

test('a mode that is asked for is mended, without a reload', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'x');
  await files.declare({ src: 't/a.mustache', dest: 'a', mode: '0600', reload: ['touch', files.path('reloaded')] });
  await files.write('a', 'x');
  await chmod(files.path('a'), 0o644);
  expect(await files.run('--once')).toMatchObject({ code: 0 });
  expect((await stat(files.path('a'))).mode & 0o777).toBe(0o600);
  expect(await readdir(files.dir)).not.toContain('reloaded');
});

test('an owner is a user and a group that the machine knows', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'x');
  // Only root may give a file away.
  const root = process.getuid?.() === 0;
  await files.declare({ src: 't/a.mustache', dest: 'a', owner: root ? 'nobody:daemon' : `${process.getuid?.()}` });
  expect(await files.run('--once')).toMatchObject({ code: 0 });
  const { uid, gid } = await stat(files.path('a'));
  expect([uid, gid]).toEqual(root ? [65534, 1] : [process.getuid?.(), process.getgid?.()]);
  await files.declare({ src: 't/a.mustache', dest: 'a', owner: 'no-such-user' });
  expect(await files.run('--once')).toMatchObject({
    code: 2,
    stderr: [expect.stringMatching(/p.*yaml:2:5: templates\[0\]: this machine has no user "no-such-user"$/)],
  });
});

test('mode and owner of a file that is there are kept, and a symbolic link stays one', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  await files.declare({ src: 't/a.mustache', dest: 'enabled/a' });
  await files.write('available/a', 'old');
  await files.write('enabled/other', '');
  await chmod(files.path('available/a'), 0o604);
  await symlink('../available/a', files.path('enabled/a'));
  expect(await files.run('--once')).toMatchObject({ code: 0 });
  expect(await files.read('available/a')).toBe('new');
  expect((await stat(files.path('available/a'))).mode & 0o777).toBe(0o604);
  expect(await readlink(files.path('enabled/a'))).toBe('../available/a');
});

test('a burst of changes is written when it is over', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  const reload = ['sh', '-c', `cat ${files.path('a')} >> ${files.path('all')}; echo >> ${files.path('all')}`];
  await files.declare({ src: 't/a.mustache', dest: 'a', reload, wait: { min: '5s', max: '1h' } });
  await files.put('/keys/n', '0');
  await files.run('--once');
  const pointsman = await files.keep();
  for (let n = 1; n <= 5; n += 1) {
    await files.put('/keys/n', String(n));
    // One by one, as they are noticed.
    const edits = () => pointsman.log.filter(({ event }) => event === 'directory-hand-edit').length === n;
    await until(`change ${n} is noticed`, edits);
  }
  await files.becomes('all', '0\n5\n');
});

test('changes that do not end are written all the same', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  await files.declare({ src: 't/a.mustache', dest: 'a', wait: { min: '300ms', max: '600ms' } });
  await files.put('/keys/n', '0');
  await files.run('--once');
  await files.keep();
  let n = 0;
  const follows = async () => {
    n += 1;
    await files.put('/keys/n', String(n));
    return Number(await files.read('a')) > 0;
  };
  await until('the file follows', follows, { deadlineMs: 20_000, everyMs: 20 });
});

test('a value that is not safe keeps the old file and names the tag', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'a = {{keys.a}};\n');
  await files.declare({ src: 't/a.mustache', dest: 'a', escape: 'nginx' });
  await files.put('/keys/a', 'good');
  const pointsman = await files.keep();
  await files.becomes('a', 'a = good;\n');
  await files.put('/keys/a', 'x; evil on');
  const refused = await pointsman.logged('file-refused');
  expect(refused['reason']).toMatch(
    /\/t\/a\.mustache:1:5: the value is not safe as a word of an nginx\.conf: character 2 of 10 is not allowed \(allowed are /,
  );
  expect(await files.read('a')).toBe('a = good;\n');
});
