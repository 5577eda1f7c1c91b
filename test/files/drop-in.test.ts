import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';

const confd = join(import.meta.dirname, '../../docker/confd');

describe('the command confd', () => {
  test('ends with 2 for a flag that it refuses, and says what it ignores', () => {
    const refused = spawnSync(confd, ['-no-such-flag', 'x'], { encoding: 'utf8' });
    expect(refused).toMatchObject({
      ...{ status: 2, stdout: '' },
      stderr: 'confd (pointsman): -no-such-flag is no flag of confd that pointsman knows\n',
    });
    const ignoring = spawnSync(
      confd,
      ['-table', 'x', '-interval=-1', '-onetime', '-backend', 'env', '-confdir', '/none'],
      {
        encoding: 'utf8',
      },
    );
    expect(ignoring).toMatchObject({
      status: 0,
      stderr: expect.stringContaining(
        'confd (pointsman): ignored, because they have no effect: -table, -interval below 0\n',
      ),
    });
  });

  test('gets the whole environment byte for byte: names of any kind, and those that shells use', async () => {
    const files = await startFiles();
    const names = ['a.b', 'x-y', 'user', 'IFS', 'OPTIND', 'once', 'bin'];
    await files.write(
      'confd/conf.d/a.toml',
      `[template]\nsrc = "a.tmpl"\ndest = "${files.path('out')}"\nkeys = ["/"]\nreload_cmd = "env >${files.path('reload')}"\n`,
    );
    await files.write('confd/templates/a.tmpl', names.map((name) => `{{getenv "${name}"}}`).join('|'));
    const args = ['-onetime', '-backend', 'env', '-confdir', files.path('confd'), '-log-level', 'error'];
    // A shell's variable is the way to give bytes that are not UTF-8.
    const script =
      'export bin="$(printf "a\\377b")"; exec env -i PATH="$PATH" bin="$bin" a.b=1 x-y=2 user=3 IFS=4 OPTIND=5 once=6 "$@"';
    const { status } = spawnSync('/bin/sh', ['-c', script, 'sh', confd, ...args]);
    expect(status).toBe(0);
    expect(await readFile(files.path('out'), 'latin1')).toBe('1|2|3|4|5|6|a\u00ffb');
    const seen = (await readFile(files.path('reload'), 'latin1')).split('\n');
    expect(seen).toEqual(expect.arrayContaining(['user=3', 'once=6', 'bin=a\u00ffb']));
    expect(seen.filter((line) => line.startsWith('pointsman_sh_'))).toEqual([]);
  });

  test('ends with 1 for a backend that is not supported', () => {
    const { status, stderr } = spawnSync(confd, ['-backend', 'consul'], { encoding: 'utf8' });
    const expected = 'confd (pointsman): the backend consul is not supported: etcdv3 and env are\n';
    expect({ status, stderr }).toEqual({ status: 1, stderr: expected });
  });

  test('ends with 1 or 0 where confd does', async () => {
    const files = await startFiles();
    const run = async (...more: readonly string[]) => {
      const args = ['-onetime', '-backend', 'env', ...more];
      const { code } = await runPointsman(args, { executable: confd, env: { POINTSMAN_OF_AN_IMAGE: 'x' } });
      return code;
    };
    expect(await run('-confdir', files.path('none'))).toBe(0);
    await files.write('confd/templates/a', '');
    expect(await run('-confdir', files.path('confd'))).toBe(1);
    await files.write('confd/conf.d/a.toml', `[template]\nsrc = "a"\ndest = "${files.path('out')}"\n`);
    expect(await run('-confdir', files.path('confd'))).toBe(0);
    expect(await run('-confdir', files.path('confd'), '-log-level', 'loud')).toBe(1);
    await files.write('confd.toml', 'prefix = \n');
    expect(await run('-confdir', files.path('confd'), '-config-file', files.path('confd.toml'))).toBe(1);
    // The settings of pointsman itself are as strict as before.
    const strict = ['files', '--from-environment', '--once', '--confd-dir'];
    expect(await runPointsman([...strict, files.path('none')])).toMatchObject({ code: 2 });
    const env = { POINTSMAN_OF_AN_IMAGE: 'x' };
    expect(await runPointsman([...strict, files.path('confd')], { env })).toMatchObject({ code: 2 });
  });

  test('takes the folder, onetime and the nodes that the command line does not name', async () => {
    const files = await startFiles('etcd');
    await files.write('else/conf.d/a.toml', `[template]\nsrc = "a"\ndest = "${files.path('out')}"\nkeys = ["/a"]\n`);
    await files.write('else/templates/a', '{{getv "/a"}}');
    await files.put('/a', 'one');
    const node = files.location.replace('etcd://', 'http://');
    const config = (text: string) => files.write('confd.toml', text);
    const run = async (...more: readonly string[]) => {
      await files.write('out', '');
      const args = ['-config-file', files.path('confd.toml'), ...more];
      const { code } = await runPointsman(args, {
        executable: confd,
        env: { ETCDCTL_PEERS: `${node},http://[::1]:1` },
      });
      return { code, out: await files.read('out') };
    };
    await config(`ConfDir = "${files.path('else')}"\nOneTime = true\n`);
    expect(await run()).toEqual({ code: 0, out: 'one' });
    expect(await run('-backend', 'etcdv3', '-node', '127.0.0.1:1')).toEqual({ code: 1, out: '' });
    // A node of http is reached without TLS, whatever CA there is.
    await config(`confdir = "${files.path('else')}"\nonetime = true\nclient_cakeys = "/no/ca"\nnodes = ["${node}"]\n`);
    expect(await run()).toEqual({ code: 0, out: 'one' });
    expect(await run('-node', node)).toEqual({ code: 0, out: 'one' });
    expect(await run('-node', node.replace('http://', ''))).toEqual({ code: 1, out: '' });
  });

  test('makes the files of the environment until a call ends with 0, as entrypoints do', async () => {
    const files = await startFiles();
    await files.write(
      'confd/conf.d/a.toml',
      `[Template]\nSrc = "a.tmpl"\nDest = "${files.path('out')}"\nkeys = ["/nginx"]\nreload_cmd = "false"\n`,
    );
    await files.write('confd/templates/a.tmpl', '{{range gets "/nginx*/*"}}{{.Key}}={{.Value}}\n{{end}}');
    const options = {
      executable: confd,
      env: { NGINX_DOMAIN: 'a b', NGINX_PORT: '80', NGINXPLUS_PORT: '81', OTHER: 'x' },
    };
    const args = ['-onetime', '-backend', 'env', '-confdir', files.path('confd'), '-log-level', 'error'];
    expect(await runPointsman(args, options)).toMatchObject({ code: 1 });
    expect(await runPointsman(args, options)).toMatchObject({ code: 0 });
    expect(await files.read('out')).toBe('/nginx/domain=a b\n/nginx/port=80\n/nginxplus/port=81\n');
  });
});

describe('a folder of confd', () => {
  async function start(config: string) {
    const files = await startFiles('etcd');
    await files.write('confd/confd.toml', config.replaceAll('NODE', files.location.replace('etcd://', 'http://')));
    await files.write(
      'confd/conf.d/a.toml',
      `[template]\nsrc = "a.tmpl"\ndest = "${files.path('out')}"\nkeys = ["/x"]\nreload_cmd = "touch ${files.path('reloaded')}"\n`,
    );
    await files.write('confd/templates/a.tmpl', '{{getv "/x"}}');
    await files.put('/all/x', 'one');
    return { ...files, args: ['files', '--confd-dir', files.path('confd')] };
  }

  test('is reached by the nodes, the prefix and the switches of confd.toml', async () => {
    const files = await start(
      'backend = "etcdv3"\nnodes = ["NODE"]\nprefix = "/all"\nsync-only = true\ninterval = 1\n',
    );
    expect(await runPointsman([...files.args, '--once', '--log-level', 'silent'])).toMatchObject({
      code: 0,
      stderr: [],
    });
    expect(await files.read('out')).toBe('one');
    await expect(files.read('reloaded')).resolves.toBe('');
    const pointsman = startPointsman(files.args);
    await pointsman.logged('files-kept');
    await files.write('out', 'by hand');
    await files.becomes('out', 'one');
    await files.put('/all/x', 'two');
    await files.becomes('out', 'two');
  });

  test('is only looked at with --noop, and keeps the text with --keep-stage-file', async () => {
    const files = await start('nodes = ["NODE"]\n');
    const args = [...files.args, '--prefix', 'all', '--log-level', 'silent'];
    expect(await runPointsman([...args, '--noop', '--keep-stage-file'])).toMatchObject({
      code: 0,
      stdout: [`would make ${files.path('out')}`],
    });
    expect(await files.read('out')).toBe('');
    expect(await files.read('.out.staged')).toBe('one');
  });

  test('names the files that get values as they are and are loaded by something', async () => {
    const files = await start('nodes = ["NODE"]\nprefix = "all"\n');
    const raw = startPointsman([...files.args, '--once']);
    await raw.ended;
    expect(raw.log.filter(({ event }) => event === 'files-raw')).toMatchObject([{ dests: [files.path('out')] }]);
    const checked = startPointsman([...files.args, '--once', '--escape', 'word']);
    await checked.ended;
    expect(checked.log.filter(({ event }) => event === 'files-raw')).toEqual([]);
  });
});
