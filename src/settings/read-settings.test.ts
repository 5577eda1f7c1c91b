import { describe, expect, test } from 'vitest';
import { balanceCommand } from './balance.ts';
import type { CommandDeclaration } from './command.ts';
import type { Machine, OptionTable } from './option.ts';
import { readSettings } from './read-settings.ts';
import { registerCommand } from './register.ts';
import { parseSettingsFile } from './yaml-file.ts';

const machine: Machine = { hostname: 'node7', home: '/home/ada', stateHome: undefined, root: false };

type Given = { flags?: Record<string, string | string[]>; env?: Record<string, string>; yaml?: string };

function read<Table extends OptionTable, S>(command: CommandDeclaration<Table, S>, given: Given, on = machine) {
  const flags = new Map(Object.entries(given.flags ?? {}).map(([name, text]) => [name, [text].flat()]));
  const file = given.yaml === undefined ? undefined : parseSettingsFile('p.yaml', given.yaml);
  return readSettings(command, { flags, env: given.env ?? {}, file }, on);
}

function settings<Table extends OptionTable, S>(command: CommandDeclaration<Table, S>, given: Given, on = machine): S {
  const reading = read(command, given, on);
  if (!reading.ok) throw new AggregateError(reading.problems, reading.problems.join('\n'));
  return reading.value;
}

function problems<Table extends OptionTable, S>(command: CommandDeclaration<Table, S>, given: Given): string[] {
  const reading = read(command, given);
  return reading.ok ? [] : reading.problems.map(String);
}

const web = { service: 'web', address: '10.0.0.1:80' };

describe('without any word, a balancer', () => {
  test('works on this machine alone', () => {
    expect(settings(balanceCommand, {})).toEqual({
      registry: {
        kind: 'etcd',
        members: [{ host: '127.0.0.1', port: 2379, family: 'ipv4' }],
        root: '/pointsman/',
        tls: undefined,
        login: undefined,
      },
      dryRun: false,
      adminHosts: [],
      log: { level: 'info', format: 'auto' },
      layout: undefined,
      balance: {
        id: 'node7',
        dir: '/home/ada/.local/state/pointsman',
        zone: undefined,
        serverTls: undefined,
        maintenancePage: undefined,
        http: { host: '127.0.0.1', port: 8080, family: 'ipv4' },
        admin: { host: '127.0.0.1', port: 8404, family: 'ipv4' },
        templates: undefined,
        haproxy: { mode: 'managed', executable: undefined },
        reloadIntervalMs: 1000,
        servicePace: { burst: 5, everyMs: 20_000 },
        mostOldWorkers: 20,
        reuseIntervalMs: 300_000,
        haproxyMetrics: undefined,
        https: undefined,
        accessLog: false,
        normalizePaths: true,
        trustedProxies: [],
        hardStopAfterMs: 600_000,
        onStop: 'stop',
        stopTimeoutMs: 10_000,
        files: [],
        guard: { share: 0.5, minimum: 4, holdMs: 600_000, windowMs: 10_000 },
        holding: { holdMs: undefined, allShare: 1, serviceShare: undefined },
        addresses: { allowed: [], loopback: true, resolveIntervalMs: 10_000 },
        limits: {
          valueBytes: 65_536,
          instances: 20_000,
          services: 20_000,
          entries: 200_000,
          totalBytes: 268_435_456,
        },
      },
    });
  });

  test.each<[Record<string, string>, boolean]>([
    [{}, true],
    [{ registry: 'dir:/srv/registry' }, true],
    [{ registry: 'etcd://[::1]:2379,localhost' }, true],
    [{ registry: 'etcd://127.0.0.1:2379,10.0.0.1:2379' }, false],
    [{ registry: 'etcd+srv://example.org' }, false],
    [{ registry: 'etcd://127.0.0.1', 'allow-addresses': '10.0.0.0/8' }, false],
  ])('with %j, instances on loopback are allowed by themselves: %s', (flags, loopback) => {
    expect(settings(balanceCommand, { flags }).balance.addresses.loopback).toBe(loopback);
  });

  test.each([
    ['/var/lib/pointsman', { ...machine, root: true }],
    ['/srv/state/pointsman', { ...machine, stateHome: '/srv/state' }],
    ['/var/lib/pointsman', { ...machine, home: undefined }],
  ])('keeps its files in %s', (dir, on) => {
    expect(settings(balanceCommand, {}, on).balance.dir).toBe(dir);
  });
});

describe('a registration', () => {
  test('carries what is said of it', () => {
    const flags = {
      ...web,
      id: 'w1',
      ttl: '1m',
      weight: '0',
      'version-label': '1.2+b',
      zone: 'eu-1',
      meta: ['a=1=2', 'b='],
    };
    const { instances, ttlMs } = settings(registerCommand, { flags }).register;
    expect(ttlMs).toBe(60_000);
    expect(instances[0]).toMatchObject({
      id: 'w1',
      weight: 0,
      version: '1.2+b',
      zone: 'eu-1',
      meta: { a: '1=2', b: '' },
    });
  });
});

describe('several instances of one process', () => {
  const declared = (flags: Given['flags'], more: Given = {}) =>
    settings(registerCommand, { ...more, ...(flags === undefined ? {} : { flags }) }).register.instances.map(
      ({ service, address }) => ({ service, address }),
    );
  const both = [
    { service: 'web', address: { kind: 'found', port: 8080 } },
    { service: 'admin', address: { kind: 'given', address: { host: '10.0.0.1', port: 9090, family: 'ipv4' } } },
  ];

  test('are services with an address each: repeated flags, commas, a mapping', () => {
    expect(declared({ service: ['web=:8080', 'admin=10.0.0.1:9090'] })).toEqual(both);
    expect(declared({ service: 'web=:8080,admin=10.0.0.1:9090' })).toEqual(both);
    expect(declared({}, { env: { POINTSMAN_SERVICE: 'web=:8080,admin=10.0.0.1:9090' } })).toEqual(both);
    expect(declared({}, { yaml: "service:\n  web: ':8080'\n  admin: 10.0.0.1:9090\n" })).toEqual(both);
  });

  test('share what is said once', () => {
    const { instances } = settings(registerCommand, {
      flags: { service: ['a', 'b=:2'], address: ':1', check: 'tcp', 'check-fall': '5', zone: 'z' },
    }).register;
    expect(instances).toMatchObject([
      { address: { port: 1 }, check: { kind: 'tcp' }, rhythm: { rise: 1, fall: 5 }, zone: 'z' },
      { address: { port: 2 }, check: { kind: 'tcp' }, rhythm: { rise: 1, fall: 5 }, zone: 'z' },
    ]);
  });

  test.each<[NonNullable<Given['flags']>, string]>([
    [{ service: ['a=:1'], address: ':2' }, '--address: every service has an address of its own'],
    [{ service: ['a=:1', 'a=:2'], id: 'x' }, '--id: two instances of a cannot have one name'],
    [{ service: ['a=:1', 'b'] }, '--address: it is missing'],
    [{ service: ['a=:0'] }, '--service: "0" is not a port: 1 to 65535'],
  ])('%j is refused', (flags, message) => {
    expect(problems(registerCommand, { flags })[0]).toContain(message);
  });
});

describe('of several sources', () => {
  const env = { POINTSMAN_HTTP: '127.0.0.1:2' };
  const yaml = 'http: 127.0.0.1:3\n';
  test.each<[string, Given, number]>([
    ['a flag wins over all', { flags: { http: '127.0.0.1:1' }, env, yaml }, 1],
    ['a variable wins over the file', { env, yaml }, 2],
    ['the file wins over the default', { yaml }, 3],
    ['the default is last', {}, 8080],
    ['an empty variable counts as none', { env: { POINTSMAN_HTTP: '' }, yaml }, 3],
    ['the last of several flags wins', { flags: { http: ['127.0.0.1:1', '127.0.0.1:4'] } }, 4],
  ])('%s', (_, given, port) => {
    expect(settings(balanceCommand, given).balance.http.port).toBe(port);
  });

  test('meta is repeated as a flag, listed with commas in a variable, and a mapping in the file', () => {
    const meta = (given: Given) =>
      settings(registerCommand, { ...given, flags: { ...web, ...given.flags } }).register.instances[0]?.meta;
    expect(meta({ flags: { meta: ['a=1', 'b=2,3'] } })).toEqual({ a: '1', b: '2,3' });
    expect(meta({ env: { POINTSMAN_META: 'a=1,b=2' } })).toEqual({ a: '1', b: '2' });
    expect(meta({ yaml: 'meta:\n  a: 1\n  b: no\n' })).toEqual({ a: '1', b: 'no' });
  });

  test('a file serves several commands', () => {
    expect(
      problems(balanceCommand, { yaml: 'service: web\nhttp: 127.0.0.1:80\n', env: { POINTSMAN_TTL: '5s' } }),
    ).toEqual([]);
  });

  test('a value in the file is the text that was written', () => {
    const given = { flags: web, yaml: 'zone: 010\nversion-label: 1.10\n' };
    expect(settings(registerCommand, given).register.instances[0]).toMatchObject({
      zone: '010',
      version: '1.10',
    });
  });
});

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
      '--log-format: "jsn" is none of json, pretty, auto (did you mean json?)',
    ],
    ['a list', { yaml: 'ttl: [1s]\n' }, 'p.yaml:1:6: ttl: it must be one value: DURATION'],
    ['a mapping', { yaml: 'ttl:\n  a: 1\n' }, 'p.yaml:2:3: ttl: it must be one value: DURATION'],
    ['a list in a mapping', { yaml: 'meta:\n  a: [1]\n' }, 'p.yaml:2:3: meta.a: the value is missing or not a text'],
    ['no mapping', { yaml: 'meta: a=1\n' }, 'p.yaml:1:7: meta: it must be a mapping of names to values'],
    [
      'nothing in a field',
      { yaml: 'zone:\n' },
      'p.yaml:1:6: zone: "" is not 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first',
    ],
    [
      'an unknown field',
      { yaml: 'sevice: web\n' },
      'p.yaml:1:1: sevice: pointsman knows no such setting (did you mean service?)',
    ],
    [
      'an unknown variable',
      { env: { POINTSMAN_TLL: '5s' } },
      'POINTSMAN_TLL: pointsman knows no such variable (did you mean POINTSMAN_TTL?)',
    ],
    [
      'a secret in the file',
      { yaml: 'etcd-password: x\n' },
      'p.yaml:1:1: etcd-password: a secret does not belong in this file (give it as POINTSMAN_ETCD_PASSWORD)',
    ],
    [
      'an address for listening',
      { flags: { address: '0.0.0.0:80' } },
      '--address: 0.0.0.0 is where a server listens, not where it is reached: give the address that balancers connect to',
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
      '--registry: a login does not belong here: use --etcd-user and POINTSMAN_ETCD_PASSWORD',
    ],
    [
      'a root',
      { flags: { root: 'pointsman' } },
      '--root: "pointsman" is not a root: /NAME/ with A-Z a-z 0-9 . _ -, at most 8 levels',
    ],
    [
      'a user without a password',
      { flags: { 'etcd-user': 'ada' } },
      '--etcd-user: a user without a password (give POINTSMAN_ETCD_PASSWORD or --etcd-password-file)',
    ],
    [
      'a password without a user',
      { flags: { 'etcd-password-file': '/p' } },
      '--etcd-password-file: a password without a user (give --etcd-user too)',
    ],
    [
      'TLS files without TLS',
      { flags: { 'etcd-ca': '/ca' } },
      '--etcd-ca: it takes a registry with TLS (write --registry etcds://…)',
    ],
    [
      'a certificate without its key',
      { flags: { registry: 'etcds://x', 'etcd-cert': '/c' } },
      '--etcd-key: the certificate and its key go together (give both, or none)',
    ],
    [
      'etcd files for a folder',
      { flags: { registry: 'dir:/x', 'etcd-ca': '/ca' } },
      '--etcd-ca: it is for etcd, and the registry is a folder',
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

test.each([
  ['ttl: "1s', /^p\.yaml:1:\d+: it is not YAML: /],
  ['ttl: 1s\nttl: 2s\n', /^p\.yaml:2:1: it is not YAML: Map keys must be unique$/],
  ['- ttl\n', /^p\.yaml:1:1: it is not a mapping of settings$/],
  ['ttl: &a [*a]\n', /^p\.yaml:1:\d+: it is nested more than 16 deep$/],
  ['[a]: b\n', /^p\.yaml:1:1: a field name must be a word$/],
  ['ttl: 1s\nservice: [[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]\n', /^p\.yaml:2:\d+: it is nested more than 16 deep$/],
])('a file that is no settings file is refused with its place: %j', (text, line) => {
  expect(() => parseSettingsFile('p.yaml', text)).toThrow(expect.objectContaining({ code: 'settings' }));
  try {
    parseSettingsFile('p.yaml', text);
  } catch (error) {
    expect(String(error)).toMatch(line);
  }
});

/** So many lists, each of so many times the one before. */
function aliases(lists: number, times: number): string {
  const list = (i: number) =>
    `l${i}: &l${i} [${Array(times)
      .fill(i === 0 ? 'x' : `*l${i - 1}`)
      .join()}]\n`;
  return Array.from({ length: lists }, (_, i) => list(i)).join('');
}

test('aliases that stand for more than any file could hold are refused', () => {
  expect(() => parseSettingsFile('p.yaml', aliases(9, 9))).toThrow(/^it has more than 10000 values$/);
});

// Each of these ended the process, or was told as an error of the stack, when a document was made of it first.
test.each([
  ['brackets', `a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ['brackets that nobody closes', `a: ${'['.repeat(20_000)}`],
  ['braces', `a: ${'{a: '.repeat(20_000)}1${'}'.repeat(20_000)}`],
  ['dashes', `a:\n  ${'- '.repeat(20_000)}x`],
  ['question marks', `a:\n  ${'? '.repeat(20_000)}x`],
  ['lines', Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:\n`).join('')],
])('a file that is nested deeper than any setting is refused with its place: %s', (_, text) => {
  expect(() => parseSettingsFile('p.yaml', text)).toThrow(
    expect.objectContaining({
      code: 'settings',
      message: 'it is nested more than 16 deep',
      where: expect.stringMatching(/^p\.yaml:(1|2|1[78]):\d+$/),
    }),
  );
});

test('an empty file sets nothing', () => {
  expect(parseSettingsFile('p.yaml', '# nothing yet\n').fields.size).toBe(0);
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

test('etcd is reached with TLS, a client certificate and a login', () => {
  const flags = {
    registry: 'etcds://e1,e2:4001,[::1]:2379',
    'etcd-ca': '/ca.pem',
    'etcd-cert': '/c.pem',
    'etcd-key': '/k.pem',
    'etcd-user': 'ada',
  };
  expect(settings(balanceCommand, { flags, env: { POINTSMAN_ETCD_PASSWORD: 's3cret' } }).registry).toEqual({
    kind: 'etcd',
    members: [
      { host: 'e1', port: 2379, family: 'name' },
      { host: 'e2', port: 4001, family: 'name' },
      { host: '::1', port: 2379, family: 'ipv6' },
    ],
    root: '/pointsman/',
    tls: { ca: '/ca.pem', client: { cert: '/c.pem', key: '/k.pem' } },
    login: { user: 'ada', password: { kind: 'text', text: 's3cret' } },
  });
});
