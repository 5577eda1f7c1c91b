import { chmod, chown, rm, stat } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { startPointsman } from '../support/processes.ts';

const isRoot = process.getuid?.() === 0;
const another = 65534;

/** A folder of confd with resources `name`, each with its template and its keys. */
async function startFolder() {
  const files = await startFiles('etcd');
  const resource = async (name: string, key: string, more = '') => {
    await files.write(
      `confd/conf.d/${name}.toml`,
      `[template]\nsrc = "${name}"\ndest = "${files.path(`out/${name}`)}"\nkeys = ["${key}"]\n${more}`,
    );
    await files.write(`confd/templates/${name}`, `{{getv "${key}"}}`);
  };
  await files.write('out/.keep', '');
  const args = ['files', '--confd-dir', files.path('confd'), '--registry', files.location];
  const once = async (more: readonly string[] = [], options: Parameters<typeof startPointsman>[1] = {}) => {
    const pointsman = startPointsman([...args, '--once', ...more], options);
    const { code } = await pointsman.ended;
    return { code, log: pointsman.log, stderr: pointsman.stderr };
  };
  return { ...files, resource, once, args };
}

test('keys that may not be read keep back their own file only', async () => {
  const files = await startFolder();
  await files.resource('a', '/a');
  await files.resource('b', '/b');
  await files.put('/a', 'one');
  await files.put('/b', 'two');
  const { etcd } = files;
  await etcd?.ctl('user', 'add', 'root:secret');
  await etcd?.ctl('user', 'grant-role', 'root', 'root');
  await etcd?.ctl('role', 'add', 'reader');
  await etcd?.ctl('role', 'grant-permission', 'reader', 'read', '/a', '--prefix');
  await etcd?.ctl('user', 'add', 'ada:lovelace');
  await etcd?.ctl('user', 'grant-role', 'ada', 'reader');
  await etcd?.ctl('auth', 'enable');
  const env = { POINTSMAN_ETCD_PASSWORD: 'lovelace' };
  const { code, stderr } = await files.once(['--etcd-user', 'ada'], { env });
  expect(stderr.join('\n')).toContain('the keys /b cannot be read');
  expect(code).toBe(1);
  expect(await files.read('out/a')).toBe('one');
  expect(await files.read('out/b')).toBe('');
});

test('a resource that is added, changed or removed counts from the next look on', async () => {
  const files = await startFolder();
  await files.resource('a', '/a');
  await files.put('/a', 'one');
  await files.put('/b', 'two');
  const pointsman = startPointsman([...files.args, '--interval', '100ms']);
  await files.becomes('out/a', 'one');
  await files.resource('b', '/b');
  await files.becomes('out/b', 'two');
  // A resource that is broken keeps back its own file only.
  await files.write('confd/conf.d/b.toml', '[template');
  await pointsman.logged('confd-resource-refused');
  await files.put('/a', 'three');
  await files.becomes('out/a', 'three');
  await rm(files.path('confd/conf.d'), { recursive: true });
  await pointsman.logged('confd-folder-refused');
  await files.put('/a', 'four');
  await files.becomes('out/a', 'four');
  await files.resource('c', '/a');
  await files.becomes('out/c', 'four');
  pointsman.kill('SIGTERM');
  expect(await pointsman.ended).toMatchObject({ code: 0 });
});

describe.runIf(isRoot)('without the rights of root,', () => {
  const through = ['setpriv', `--reuid=${another}`, `--regid=${another}`, '--clear-groups'];

  async function startOfRoot(more = '') {
    const files = await startFolder();
    await chmod(files.dir, 0o755);
    await chown(files.path('out'), another, another);
    await files.resource('a', '/a', `reload_cmd = "echo >> ${files.path('out/reloads')}"\n${more}`);
    await files.put('/a', 'one');
    const owned = async () => {
      const { uid, gid, mode } = await stat(files.path('out/a'));
      return [uid, gid, mode & 0o777];
    };
    return { ...files, owned };
  }

  test('a file of root is replaced by one of its own, with the mode that it had', async () => {
    const files = await startOfRoot();
    await files.write('out/a', 'of root');
    await chmod(files.path('out/a'), 0o640);
    const { code, log } = await files.once([], { through });
    expect(code).toBe(0);
    expect(await files.read('out/a')).toBe('one');
    expect(await files.owned()).toEqual([another, another, 0o640]);
    expect(log.filter(({ event }) => event === 'file-owner-refused')).toHaveLength(1);
  });

  test('the owner that a resource names is left out, and the file is made and reloaded once', async () => {
    const files = await startOfRoot('uid = 0\ngid = 4\nmode = "0600"\n');
    const first = await files.once([], { through });
    expect(first.code).toBe(0);
    expect(await files.read('out/a')).toBe('one');
    expect(await files.owned()).toEqual([another, another, 0o600]);
    expect(first.log.filter(({ event }) => event === 'file-owner-refused')).toMatchObject([
      { reason: 'only root can give it to 0:4' },
    ]);
    const second = await files.once([], { through });
    expect(second.code).toBe(0);
    expect(await files.read('out/reloads')).toBe('\n');
  });
});
