import { execFileSync, spawn } from 'node:child_process';
import { chmod, chown, lstat, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { until } from '../support/until.ts';

const isRoot = process.getuid?.() === 0;
const another = 65534;

/** A folder that another user may write, in which root makes a file; and a file of root's that must stay as it is. */
async function startShared(declared: Readonly<Record<string, unknown>> = {}) {
  const files = await startFiles();
  const { path } = files;
  await chmod(files.dir, 0o755);
  await files.write('t/a.mustache', 'new');
  await files.write('secret', 'of root');
  await chmod(path('secret'), 0o600);
  await mkdir(path('shared'));
  await chown(path('shared'), another, another);
  await files.declare({ src: 't/a.mustache', dest: 'shared/out', ...declared });
  const untouched = async () => {
    expect(await files.read('secret')).toBe('of root');
    const { mode, uid } = await stat(path('secret'));
    expect([mode & 0o777, uid]).toEqual([0o600, 0]);
  };
  return { ...files, untouched };
}

describe.runIf(isRoot)('in a folder of another user, as root,', () => {
  test.each(['.out.reload-due', '.out.refused'])('a symbolic link %s is not followed', async (name) => {
    const files = await startShared({ check: 'false {{staged}}' });
    await symlink(files.path('secret'), files.path(`shared/${name}`));
    expect(await files.run('--once')).toMatchObject({ code: 1 });
    await files.untouched();

    await files.declare({ src: 't/a.mustache', dest: 'shared/out', reload: 'false' });
    expect(await files.run('--once')).toMatchObject({ code: 1 });
    await files.untouched();
    expect(await files.read('shared/out')).toBe('new');
    expect((await lstat(files.path('shared/.out.reload-due'))).isFile()).toBe(true);

    await files.declare({ src: 't/a.mustache', dest: 'shared/out', reload: 'true' });
    expect(await files.run('--once')).toMatchObject({ code: 0 });
    await files.untouched();
    expect(await readdir(files.path('shared'))).toEqual(['out']);
  });

  test('a destination that is a symbolic link is refused, and says what to do', async () => {
    const files = await startShared({ mode: '0666', owner: 'nobody' });
    await symlink(files.path('secret'), files.path('shared/out'));
    const { code, stderr } = await files.run('--once');
    expect(code).toBe(1);
    expect(stderr).toEqual([
      expect.stringMatching(
        /shared\/out: \/.*\/shared\/out is a symbolic link in a folder that others can write \(.*\)$/,
      ),
    ]);
    await files.untouched();
  });

  test('a folder on the way that is a symbolic link is refused', async () => {
    const files = await startShared({ dest: 'shared/conf/out' });
    await mkdir(files.path('etc'));
    await symlink(files.path('etc'), files.path('shared/conf'));
    const { code, stderr } = await files.run('--once');
    expect(code).toBe(1);
    expect(stderr[0]).toContain('shared/conf is a symbolic link in a folder that others can write');
    expect(await readdir(files.path('etc'))).toEqual([]);
  });

  test('links that come and go while files are made lead nowhere', async () => {
    const files = await startShared({ dest: 'shared/conf/out', mode: '0666', owner: 'nobody', wait: '10ms' });
    const { path } = files;
    await files.write('t/a.mustache', '{{keys.n}}');
    await files.put('/keys/n', '0');
    await mkdir(path('etc'));
    await files.write('etc/out', 'of root');
    await chmod(path('etc/out'), 0o600);
    // A folder that pointsman made cannot be removed by another, but moved away.
    const swap =
      'i=$((i + 1)); mv conf $i; ln -s ../etc conf; sleep 0.01; rm -f conf; mkdir conf; ln -s ../../secret conf/out; sleep 0.01';
    const other = spawn(
      'sh',
      ['-c', `while :; do ${swap}; mv conf $i.out; mkdir conf; sleep 0.02; done 2> /dev/null`],
      {
        ...{ cwd: path('shared'), uid: another, gid: another, stdio: 'ignore', detached: true },
      },
    );
    onTestFinished(() => void process.kill(-(other.pid ?? Number.NaN), 'SIGKILL'));
    const pointsman = await files.keep('--interval', '100ms');
    let n = 0;
    const replaced = () => pointsman.log.filter(({ event }) => event === 'file-changed' || event === 'file-restored');
    await until('it was replaced and refused often', async () => {
      n += 1;
      await files.put('/keys/n', String(n));
      const refused = pointsman.log.filter(({ event }) => event === 'file-refused');
      return replaced().length > 50 && refused.length > 50;
    });
    await files.untouched();
    expect(await readdir(path('etc'))).toEqual(['out']);
    expect(await files.read('etc/out')).toBe('of root');
    expect((await stat(path('etc/out'))).mode & 0o777).toBe(0o600);
  });

  test('what the check refused is kept for root alone, whoever made a file of that name', async () => {
    const files = await startShared({ check: 'false {{staged}}', mode: '0600' });
    await files.write('shared/.out.refused', '');
    await chmod(files.path('shared/.out.refused'), 0o666);
    await chown(files.path('shared/.out.refused'), another, another);
    await files.run('--once');
    const { mode, uid } = await stat(files.path('shared/.out.refused'));
    expect([mode & 0o777, uid]).toEqual([0o600, 0]);
  });
});

test('a destination that is a pipe is refused, and nobody waits for it', async () => {
  const files = await startFiles();
  await files.write('t/a.mustache', 'new');
  await files.declare({ src: 't/a.mustache', dest: 'pipe' }, { src: 't/a.mustache', dest: 'a' });
  execFileSync('sh', ['-c', `mkfifo ${files.path('pipe')}`]);
  const { code, stderr } = await files.run('--once');
  expect(code).toBe(1);
  expect(stderr).toEqual([expect.stringContaining('/pipe: it cannot be read: it is not a regular file')]);
  expect(await files.read('a')).toBe('new');
});
