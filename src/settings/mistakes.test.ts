import { describe, expect, test } from 'vitest';
import { type Given, problems, web } from '../../test/support/settings.ts';
import { balanceCommand } from './balance.ts';
import { registerCommand } from './register.ts';

describe('a mistake is told on one line that names it and what is allowed', () => {
  test.each<[string, Given, string]>([
    ['a flag', { flags: { ttl: '10' } }, '--ttl: "10" is not a duration: a number with ms, s, m, h or d'],
    ['a variable', { env: { POINTSMAN_TTL: '1s' } }, 'POINTSMAN_TTL: 1s is not from 2s to 1h'],
    [
      'a field',
      { yaml: '# mine\nttl:   soon\n' },
      'p.yaml:2:8: ttl: "soon" is not a duration: a number with ms, s, m, h or d',
    ],
    ['a weight', { flags: { weight: '257' } }, '--weight: "257" is not a whole number from 0 to 256'],
    [
      'a label',
      { flags: { zone: 'a b' } },
      '--zone: "a b" is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first',
    ],
    [
      'an id',
      { flags: { id: '../x' } },
      '--id: "../x" is not an instance id: 1 to 127 of A-Z a-z 0-9 . _ : -, a letter or digit first',
    ],
    ['a pair', { flags: { meta: 'a' } }, '--meta: "a" is not name=value'],
    ['meta', { flags: { meta: 'a=\u001b[2J' } }, '--meta: the value of a has a control character'],
    [
      'meta of a variable',
      { env: { POINTSMAN_META: 'a=\ud800' } },
      'POINTSMAN_META: the value of a has a control character',
    ],
    ['a pair in a variable', { env: { POINTSMAN_META: 'a=1,=2' } }, 'POINTSMAN_META: "=2" is not name=value'],
    [
      'a pair in the file',
      { yaml: 'meta:\n  a: 1\n  b c: 2\n' },
      'p.yaml:3:8: meta.b c: "b c" is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first',
    ],
    [
      'a choice',
      { flags: { 'log-format': 'jsn' } },
      '--log-format: "jsn" is not one of json, pretty, auto (did you mean json?)',
    ],
    ['a list', { yaml: 'ttl: [1s]\n' }, 'p.yaml:1:6: ttl: it must be one value: DURATION'],
    ['a mapping', { yaml: 'ttl:\n  a: 1\n' }, 'p.yaml:2:3: ttl: it must be one value: DURATION'],
    ['a list in a mapping', { yaml: 'meta:\n  a: [1]\n' }, 'p.yaml:2:3: meta.a: the value is missing or is not text'],
    ['no mapping', { yaml: 'meta: a=1\n' }, 'p.yaml:1:7: meta: it must be a mapping of names to values'],
    [
      'nothing in a field',
      { yaml: 'zone:\n' },
      'p.yaml:1:6: zone: "" is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first',
    ],
    ['an unknown field', { yaml: 'sevice: web\n' }, 'p.yaml:1:1: sevice: unknown setting (did you mean service?)'],
    [
      'an unknown variable',
      { env: { POINTSMAN_TLL: '5s' } },
      'POINTSMAN_TLL: unknown variable (did you mean POINTSMAN_TTL?)',
    ],
    [
      'a secret in the file',
      { yaml: 'etcd-password: x\n' },
      'p.yaml:1:1: etcd-password: the settings file cannot contain secrets (give it as POINTSMAN_ETCD_PASSWORD)',
    ],
    [
      'an address for listening',
      { flags: { address: '0.0.0.0:80' } },
      '--address: 0.0.0.0 is an address to listen on: give the address that balancers connect to',
    ],
    ['a registry', { flags: { registry: 'http://x' } }, '--registry: "http://x" is not a registry: write etcd://x'],
    [
      'a registry with a path',
      { flags: { registry: 'etcd://x:1/y' } },
      '--registry: "etcd://x:1/y" is not a registry: write etcd://x:1, and --root /y/',
    ],
    [
      'a login that must not be repeated',
      { flags: { registry: 'etcd://me:secret@x' } },
      '--registry: an address cannot contain a login: use --etcd-user and POINTSMAN_ETCD_PASSWORD',
    ],
    [
      'a root',
      { flags: { root: 'pointsman' } },
      '--root: "pointsman" is not a root: /NAME/ with A-Z a-z 0-9 . _ -, at most 8 levels',
    ],
    [
      'a user is given without a password',
      { flags: { 'etcd-user': 'ada' } },
      '--etcd-user: a user is given without a password (give POINTSMAN_ETCD_PASSWORD or --etcd-password-file)',
    ],
    [
      'a password is given without a user',
      { flags: { 'etcd-password-file': '/p' } },
      '--etcd-password-file: a password is given without a user (give --etcd-user too)',
    ],
    [
      'TLS files without TLS',
      { flags: { 'etcd-ca': '/ca' } },
      '--etcd-ca: it needs a registry with TLS (write --registry etcds://…)',
    ],
    [
      'a certificate without its key',
      { flags: { registry: 'etcds://x', 'etcd-cert': '/c' } },
      '--etcd-key: it is missing: a client certificate and its key must be given together (give both, or none)',
    ],
    [
      'etcd files for a folder',
      { flags: { registry: 'dir:/x', 'etcd-ca': '/ca' } },
      '--etcd-ca: it has no effect, because the registry is a folder and not etcd',
    ],
  ])('%s', (_, given, line) => {
    expect(problems(registerCommand, { ...given, flags: { ...web, ...given.flags } })).toEqual([line]);
  });

  test('a missing setting names its three sources', () => {
    expect(problems(registerCommand, { flags: { service: 'web' } })).toEqual([
      '--address: it is missing (give the flag, POINTSMAN_ADDRESS, or address in the settings file: where the balancers reach the instance)',
    ]);
  });

  test('all mistakes are told at once', () => {
    const lines = problems(registerCommand, {
      env: { POINTSMAN_X: '1' },
      flags: { ...web, ttl: 'x' },
      yaml: 'weight: x\n',
    });
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['POINTSMAN_X:', 'p.yaml:1:9:', '--ttl:']);
  });
});

test('what Kubernetes puts beside a service named pointsman is no mistake', () => {
  const env = {
    POINTSMAN_PORT: 'tcp://10.3.0.1:80',
    POINTSMAN_PORT_80_TCP: 'tcp://10.3.0.1:80',
    POINTSMAN_PORT_80_TCP_ADDR: '10.3.0.1',
    POINTSMAN_SERVICE_HOST: '10.3.0.1',
    POINTSMAN_SERVICE_PORT_HTTP: '80',
    POINTSMAN_ADMIN_SERVICE_HOST: '10.3.0.2',
  };
  expect(problems(balanceCommand, { env })).toEqual([]);
});
