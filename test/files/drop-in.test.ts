import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startFiles } from '../support/files.ts';
import { runPointsman, startPointsman } from '../support/processes.ts';

const confd = join(import.meta.dirname, '../../docker/confd');

describe('the command confd', () => {
  test.each([
    [
      '-onetime -backend etcdv3 -node http://10.0.0.1:2379 -node=10.0.0.2:2379',
      '--registry etcd://10.0.0.1:2379,10.0.0.2:2379 --once',
    ],
    ['--backend=env --onetime=true --sync-only', '--from-environment --once --sync-only'],
    ['env --onetime', '--from-environment --once'],
    [
      'etcd --node https://a:1/ -client-ca-keys ca -client-cert c -client-key k',
      '--registry etcds://a:1 --etcd-ca ca --etcd-cert c --etcd-key k',
    ],
    [
      '-watch -onetime=false -interval 10 -prefix prod -log-level warning',
      '--prefix prod --interval 10s --log-level warn',
    ],
    ['-noop -keep-stage-file -interval 86400', '--interval 3600s --noop --keep-stage-file'],
    ['-backend etcdv3 -srv-domain example.org', '--registry etcd+srv://_etcdv3._tcp.example.org'],
    ['-srv-record _x._tcp.example.org. -scheme https', '--registry etcds+srv://_x._tcp.example.org.'],
    ['-scheme https -node 10.0.0.1:2379', '--registry etcd://10.0.0.1:2379'],
    ['-interval 0 -onetime', '--once'],
    ['-interval -1 -onetime', '--once'],
    ['-log-level INFO -node= -node a:1', '--registry etcd://a:1 --log-level info'],
    ['-client-cert c -node a:1', '--registry etcd://a:1'],
    ['-node http://a:1 -node https://b:1 -client-ca-keys ca', '--registry etcd://a:1,b:1'],
    ['-node https://a:1 -node http://b:1', '--registry etcds://a:1,b:1'],
    ['-backend etcd -srv-record _x._tcp.example.org -client-ca-keys ca', '--registry etcd+srv://_x._tcp.example.org'],
    [
      '-backend etcdv3 -srv-record _x._tcp.example.org -client-ca-keys ca',
      '--registry etcds+srv://_x._tcp.example.org --etcd-ca ca',
    ],
    ['-username u -password p -basic-auth -node a:1', '--registry etcd://a:1 --etcd-user u'],
    ['env --onetime --noop --diff --log-format text', '--from-environment --log-format pretty --diff'],
  ])('takes %s as %s', (given, expected) => {
    const env = { ...process.env, POINTSMAN_COMMAND: '/bin/echo' };
    const { status, stdout } = spawnSync(confd, ['-confdir', '/c', ...given.split(' ')], { env, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: `files --confd-dir /c ${expected}\n` });
  });

  test.each([
    ['-auth-token x -path=y -table z -node a:1', '--registry etcd://a:1', '-auth-token, -path, -table'],
    ['-client-insecure -username u -password p', '', '-client-insecure, -username without -basic-auth'],
    ['-onetime true -noop', '--once', 'true -noop'],
    ['etcd --metrics-addr :9100 --template-cache', '', '-metrics-addr, -template-cache'],
  ])('ignores what has no effect in %s, and says so', (given, expected, ignored) => {
    const env = { ...process.env, POINTSMAN_COMMAND: '/bin/echo' };
    const { status, stdout, stderr } = spawnSync(confd, ['-confdir', '/c', ...given.split(' ')], {
      env,
      encoding: 'utf8',
    });
    expect({ status, stdout: stdout.trim() }).toEqual({ status: 0, stdout: `files --confd-dir /c ${expected}`.trim() });
    expect(stderr).toBe(`confd (pointsman): ignored, because they have no effect: ${ignored}\n`);
  });

  test.each([
    ['-node a:1', '--registry etcds://a:1 --etcd-ca ca'],
    ['etcd --node a:1', '--registry etcds://a:1 --etcd-ca ca --prefix /p --interval 7s --noop'],
    ['etcd --node a:1 --noop=false --prefix /q', '--registry etcds://a:1 --etcd-ca ca --prefix /q --interval 7s'],
  ])('takes from the environment what confd, or its fork, takes with %s', (given, expected) => {
    const theirs = { CONFD_CLIENT_CAKEYS: 'ca', CONFD_PREFIX: '/p', CONFD_NOOP: 'true', CONFD_INTERVAL: '7' };
    const env = { ...process.env, ...theirs, POINTSMAN_COMMAND: '/bin/echo' };
    const { status, stdout } = spawnSync(confd, ['-confdir', '/c', ...given.split(' ')], { env, encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: `files --confd-dir /c ${expected}\n` });
  });

  test.each([
    ['-no-such-flag x', '-no-such-flag is no flag of confd that pointsman knows'],
    ['-interval 5m', '-interval 5m is not a number of seconds'],
    [
      'etcd --client-insecure',
      '-client-insecure is not supported: pointsman checks certificates; give the CA with -client-ca-keys',
    ],
    ['-node', '-node needs a value'],
    ['-onetime=maybe', 'maybe is neither true nor false'],
  ])('refuses %s', (given, expected) => {
    const { status, stderr } = spawnSync(confd, given.split(' '), { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 2, stderr: `confd (pointsman): ${expected}\n` });
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
