import { describe, expect, test } from 'vitest';
import { translateConfdFlags } from './confd-flags.ts';

/** The flags that pointsman gets for these of confd, after those that are the same for all. */
function translate(given: string, env: Readonly<Record<string, string>> = {}): string {
  const call = translateConfdFlags(['-confdir', '/c', ...given.split(' ')], env, () => false);
  expect(call).toMatchObject({ ok: true });
  const args = call.ok ? call.value.args : [];
  expect(args).toEqual(['files', '--as-confd', expect.any(String), '--confd-dir', '/c', ...args.slice(5)]);
  return args.slice(5).join(' ');
}

describe('the flags of confd', () => {
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
    ['-interval -0 -onetime', '--once'],
    ['-log-level INFO -node= -node a:1', '--registry etcd://a:1 --log-level info'],
    ['-log-level Warning', '--log-level warn'],
    ['-log-level FATAL', '--log-level error'],
    ['-node http://a:1 -node https://b:1 -client-ca-keys ca', '--registry etcd://a:1,b:1'],
    ['-node https://a:1 -node http://b:1', '--registry etcds://a:1,b:1'],
    ['-node= -node https://a:1', '--registry etcds://a:1'],
    ['-node a:1 -node https://b:1', '--registry etcd://a:1,b:1'],
    ['-scheme https -node http://a:1 -client-ca-keys ca', '--registry etcd://a:1'],
    ['-backend etcd -srv-record _x._tcp.example.org -client-ca-keys ca', '--registry etcd+srv://_x._tcp.example.org'],
    [
      '-backend etcdv3 -srv-record _x._tcp.example.org -client-ca-keys ca',
      '--registry etcds+srv://_x._tcp.example.org --etcd-ca ca',
    ],
    ['-prefix a=b=c', '--prefix a=b=c'],
    ['-username u -password p -basic-auth -node a:1', '--registry etcd://a:1 --etcd-user u'],
    ['env --onetime --noop --diff --log-format text', '--from-environment --log-format pretty --diff'],
  ])('takes %s as %s', (given, expected) => {
    expect(translate(given)).toBe(expected);
  });

  test.each([
    ['-auth-token x -path=y -table z -node a:1', '--registry etcd://a:1', '-auth-token, -path, -table'],
    ['-client-insecure -username u -password p', '', '-client-insecure, -username without -basic-auth'],
    ['-onetime true -noop', '--once', 'true -noop'],
    ['-client-cert c -node a:1', '--registry etcd://a:1', '-client-cert and -client-key without each other'],
    ['-client-key k', '', '-client-cert and -client-key without each other'],
    ['-interval -1 -onetime', '--once', '-interval below 0'],
    ['etcd --metrics-addr :9100 --template-cache', '', '-metrics-addr, -template-cache'],
  ])('ignores what has no effect in %s', (given, expected, ignored) => {
    expect(translate(given)).toBe(expected);
    expect(translateConfdFlags(given.split(' '), {}, () => false)).toMatchObject({
      value: { ignored: ignored.split(', ') },
    });
  });

  test.each([
    ['-node a:1', '--registry etcds://a:1 --etcd-ca ca'],
    ['etcd --node a:1', '--registry etcds://a:1 --etcd-ca ca --prefix /p --interval 7s --noop'],
    ['etcd --node a:1 --noop=false --prefix /q', '--registry etcds://a:1 --etcd-ca ca --prefix /q --interval 7s'],
  ])('takes from the environment what confd, or its fork, takes with %s', (given, expected) => {
    const env = { CONFD_CLIENT_CAKEYS: 'ca', CONFD_PREFIX: '/p', CONFD_NOOP: 'true', CONFD_INTERVAL: '7' };
    expect(translate(given, env)).toBe(expected);
  });

  test.each([
    ['-no-such-flag x', '-no-such-flag is no flag of confd that pointsman knows'],
    ['-interval 5m', '-interval 5m is not a number of seconds'],
    ['-interval -', '-interval - is not a number of seconds'],
    [
      'etcd --client-insecure',
      '-client-insecure is not supported: pointsman checks certificates; give the CA with -client-ca-keys',
    ],
    ['-node', '-node needs a value'],
    ['-onetime=maybe', 'maybe is neither true nor false'],
  ])('refuses %s', (given, reason) => {
    expect(translateConfdFlags(given.split(' '), {}, () => false)).toEqual({ ok: false, reason, exitCode: 2 });
  });

  test.each(['-backend consul', 'consul --node a:1'])('end with 1, as confd, for another backend in %s', (given) => {
    expect(translateConfdFlags(given.split(' '), {}, () => false)).toEqual({
      ...{ ok: false, exitCode: 1 },
      reason: 'the backend consul is not supported: etcdv3 and env are',
    });
  });

  test.each([
    ['-onetime', 'etcd'],
    ['-backend=', 'etcd'],
    ['etcd', 'etcd'],
    ['-backend etcdv3', 'etcdv3'],
    ['env', 'env'],
  ])('make pointsman stand in for confd, with the backend of %s', (given, backend) => {
    expect(translateConfdFlags(given.split(' '), {}, () => false)).toMatchObject({
      value: { args: expect.arrayContaining(['--as-confd', backend]) },
    });
  });

  test('pass the password and the way of writing values as variables of pointsman', () => {
    const given = ['-username', 'u', '-password', 'p w', '-basic-auth', '-escape', 'word'];
    expect(translateConfdFlags(given, {}, () => false)).toMatchObject({
      value: { env: { POINTSMAN_ETCD_PASSWORD: 'p w', POINTSMAN_ESCAPE: 'word' } },
    });
  });

  test('name confd.toml only where it is there', () => {
    const argsOf = (given: readonly string[], there: readonly string[]) =>
      translateConfdFlags(given, {}, (path) => there.includes(path));
    const always = ['files', '--as-confd', 'etcd'];
    const config = ['--confd-config', '/etc/confd/confd.toml'];
    const there = ['/etc/confd/confd.toml'];
    // The file may name the folder.
    expect(argsOf([], there)).toMatchObject({ value: { args: [...always, ...config] } });
    expect(argsOf(['-confdir', '/c'], there)).toMatchObject({
      value: { args: [...always, '--confd-dir', '/c', ...config] },
    });
    expect(argsOf([], [])).toMatchObject({ value: { args: [...always, '--confd-dir', '/etc/confd'] } });
    expect(argsOf(['-config-file='], there)).toMatchObject({
      value: { args: [...always, '--confd-dir', '/etc/confd'] },
    });
    // The file may name certificates, which a node with http does not take.
    expect(argsOf(['-node', 'http://a:1'], there)).toMatchObject({
      value: { args: [...always, ...config, '--registry', 'etcd://a:1', '--without-tls'] },
    });
    expect(argsOf(['-h'], [])).toMatchObject({ value: { args: ['files', '--help'] } });
    expect(argsOf(['-version'], [])).toMatchObject({ value: { args: ['--version'] } });
  });
});
