import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { startFiles } from '../support/files.ts';
import { freePort } from '../support/ports.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';
import { until } from '../support/until.ts';

const unshare = ['unshare', '-m', '--propagation', 'private'] as const;
const tried = spawnSync(unshare[0], [...unshare.slice(1), 'true'], { encoding: 'utf8' });
const why = tried.status === 0 ? '' : ` (skipped: ${tried.stderr || tried.error?.message})`;

/** Runs pointsman where `mounts`, a shell script, was run. */
const after = (mounts: string) => [...unshare, 'sh', '-ec', `${mounts}; exec "$@"`, 'sh'];

async function startMounted() {
  const files = await startFiles();
  await files.write('t/a.mustache', '{{keys.n}}');
  await files.write('host', 'a longer text than the new one');
  await files.write('in/a', '');
  await files.put('/keys/n', '1');
  const args = ['files', '--registry', files.location, '--config', files.path('pointsman.yaml')];
  const bound = after(`mount --bind ${files.path('host')} ${files.path('in/a')}`);
  return { ...files, args, bound };
}

test.runIf(why === '')(`a file that is mounted by itself is overwritten, and that is said once${why}`, async () => {
  const files = await startMounted();
  const reload = ['sh', '-c', `cat ${files.path('in/a')} >> ${files.path('loaded')}`];
  await files.declare({ src: 't/a.mustache', dest: 'in/a', check: 'test -s {{staged}}', reload });
  const admin = await freePort();
  const pointsman = startPointsman([...files.args, '--admin', `127.0.0.1:${admin}`], { through: files.bound });
  await files.becomes('host', '1');
  await files.becomes('loaded', '1');
  const told = await pointsman.logged('file-in-place');
  expect(told).toMatchObject({ level: 'warn', reason: 'it is mounted as a single file (EBUSY)' });
  expect(told.msg).toContain('a reader can find half of the text: mount its folder instead');
  await files.put('/keys/n', '22');
  await files.becomes('loaded', '122');
  expect(await files.read('host')).toBe('22');
  expect(pointsman.log.filter(({ event }) => event === 'file-in-place')).toHaveLength(1);
  const status = async () => JSON.parse((await ask(admin, 'localhost', '/status')).body);
  expect(await status()).toMatchObject({ ready: true, files: [{ inPlace: 'it is mounted as a single file (EBUSY)' }] });
  await until('nothing else is left', async () => (await files.read('in/.a.reload-due')) === '');
});

test.runIf(why === '')(`a mounted file in a folder that is read-only is overwritten, too${why}`, async () => {
  const files = await startMounted();
  await files.declare({ src: 't/a.mustache', dest: 'in/a', check: 'test -s {{staged}}', reload: 'true' });
  const readOnly = after(
    `mount --bind ${files.path('in')} ${files.path('in')}; mount -o remount,ro,bind ${files.path('in')}; mount --bind ${files.path('host')} ${files.path('in/a')}`,
  );
  expect(await runPointsman(files.args.concat('--once', '--log-level', 'silent'), { through: readOnly })).toMatchObject(
    {
      code: 0,
      stderr: [],
    },
  );
  expect(await files.read('host')).toBe('1');
});

test.runIf(why === '')(`a mounted file that cannot be written leaves no reload due${why}`, async () => {
  const files = await startMounted();
  await files.declare({ src: 't/a.mustache', dest: 'in/a', reload: ['touch', files.path('reloaded')] });
  const readOnly = after(
    `mount --bind ${files.path('host')} ${files.path('in/a')}; mount -o remount,ro,bind ${files.path('in/a')}`,
  );
  const { code, stderr } = await runPointsman(files.args.concat('--once', '--log-level', 'silent'), {
    through: readOnly,
  });
  expect(code).toBe(1);
  expect(stderr).toEqual([expect.stringMatching(/in\/a: it cannot be overwritten: read-only file system/)]);
  expect(await files.read('host')).toBe('a longer text than the new one');
  expect(spawnSync('ls', ['-A', files.path('in')], { encoding: 'utf8' }).stdout).toBe('a\n');
  expect(await files.read('reloaded')).toBe('');
});
