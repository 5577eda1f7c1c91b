import { describe, expect, test } from 'vitest';
import { type Given, machine, problems, settings, web } from '../../test/support/settings.ts';
import { balanceCommand } from './balance.ts';
import { registerCommand } from './register.ts';

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
        secrets: undefined,
        errorPages: undefined,
        defaultErrorPages: undefined,
        proxyProtocol: [],
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
        acme: undefined,
        sealingKeys: undefined,
        accessLog: false,
        normalizePaths: true,
        trustedProxies: [],
        hardStopAfterMs: 600_000,
        onStop: 'stop',
        lameDuckMs: 0,
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
    [{ service: ['a=:1'], address: ':2' }, '--address: it has no effect, because every service has its own address'],
    [{ service: ['a=:1', 'a=:2'], id: 'x' }, '--id: two instances of a cannot have the same id'],
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

  test.each<[string, Given, string[]]>([
    [
      'a field',
      { env: { POINTSMAN_LAME_DUCK: '5s' }, yaml: 'lame-duck: banana\n' },
      ['p.yaml:1:12: lame-duck: "banana"'],
    ],
    ['a variable', { flags: { http: '127.0.0.1:1' }, env: { POINTSMAN_HTTP: 'banana' } }, ['POINTSMAN_HTTP: "banana"']],
    [
      'the form of a field',
      { flags: { http: '127.0.0.1:1' }, yaml: 'http: [a]\n' },
      ['p.yaml:1:7: http: it must be one value'],
    ],
    [
      'one of a list',
      { flags: { 'trusted-proxies': '10.0.0.1' }, yaml: 'trusted-proxies: [10.0.0.2, x]\n' },
      ['p.yaml:1:29: trusted-proxies[1]: "x"'],
    ],
  ])('%s that another source overrules is checked, too', (_, given, expected) => {
    expect(problems(balanceCommand, given)).toEqual(expected.map((text) => expect.stringContaining(text)));
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
