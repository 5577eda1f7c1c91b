import fc from 'fast-check';
import { hostileJson, hostileText, spoilt } from './hostile.ts';

// Names that mean something to HAProxy, to JavaScript or to us are names of services like any other.
const service = fc.constantFrom(
  'a', 'b', 'Web', 'c.d', 'e-', 'GLOBAL', 'MASTER', 'base', 'constructor', 'toString', 'defaults', 'policy-0', 'tcp-a', '0',
); // biome-ignore format: one line
const instance = fc.constantFrom('i-1', 'i:2', 'i_3', 'BACKEND', '__proto__', 'valueOf', 'x.', '0');

const decentInstance = fc
  .record(
    {
      address: fc.constantFrom('127.0.0.1', '::1', 'localhost', '127.1.2.3'),
      port: fc.constantFrom<unknown>(1, 81, 65535, 0, '81', 1e2),
      weight: fc.constantFrom<unknown>(0, 7, 256, 257, -1, '7'),
      state: fc.constantFrom('ready', 'draining', 'maintenance', 'gone'),
      version: fc.oneof(fc.constantFrom('v1', 'v2'), hostileText),
      zone: fc.oneof(fc.constantFrom('z1', 'z2'), hostileText),
      role: fc.constantFrom<unknown>('active', 'backup', 'backup ', true),
      owner: fc.oneof(fc.constant('n-1'), hostileText),
      at: fc.constantFrom<unknown>(1, -1, 1e300, 'now'),
      meta: fc.record({ x: fc.oneof(fc.constantFrom('fine.example', 'a b'), hostileText) }, { requiredKeys: [] }),
    },
    { requiredKeys: ['address', 'port'] },
  )
  .map((record) => JSON.stringify(record));

/** All that a header's value may hold: what it means to HAProxy has to be taken from it. */
const printable = fc
  .string({ unit: fc.constantFrom(...' \t"\'\\#$%[]{}();,ab'), maxLength: 12 })
  .map((text) => `x${text}x`);

export const policyFields: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  hosts: fc.array(fc.oneof(fc.constantFrom('x.example', '*.y.example', 'z.*', '*'), hostileText), { maxLength: 3 }),
  paths: fc.array(fc.oneof(fc.constantFrom('/', '/a', '/b/'), spoilt(fc.constant('/a'))), {
    minLength: 1,
    maxLength: 3,
  }),
  strip: fc.constantFrom<unknown>(true, false, 'true'),
  priority: fc.constantFrom<unknown>(0, -5, '5'),
  maintenance: fc.constantFrom<unknown>(true, false, 'yes'),
  https: fc.constantFrom<unknown>(
    ...['redirect', 'optional', 'redirect ', { redirect: 8443 }, { redirect: '443' }, { redirect: true }, {}],
    ...[{ certificate: 'auto' }, { certificate: 'auto', redirect: true }, { certificate: 'auto', redirect: 8443 }],
    ...[{ certificate: 'auto ', redirect: true }, { certificate: true }],
  ),
  sni: fc.array(fc.oneof(fc.constantFrom('s.example', '*.t.example', '*', 's.*'), hostileText), { maxLength: 3 }),
  alpn: fc.array(fc.oneof(fc.constantFrom('h2', 'acme-tls/1'), hostileText), { maxLength: 2 }),
  routes: fc.array(
    fc.record(
      {
        hosts: fc.array(fc.oneof(fc.constantFrom('r.example', '*.r.example', 'r.*'), hostileText), { maxLength: 2 }),
        paths: fc.array(fc.oneof(fc.constantFrom('/r', '/r/s/'), spoilt(fc.constant('/r'))), {
          minLength: 1,
          maxLength: 2,
        }),
        strip: fc.constantFrom<unknown>(true, false, 1),
        priority: fc.constantFrom<unknown>(3, -1000, 1001),
      },
      { requiredKeys: [] },
    ),
    { minLength: 1, maxLength: 3 },
  ),
  match: fc.oneof(
    fc.constantFrom<unknown>(
      { method: 'GET' },
      { method: ['GET', 'get'] },
      { query: { a: { regex: '^(1|true)$' } } },
      {},
    ),
    fc.record({ headers: fc.dictionary(fc.constantFrom('X-A', 'x b', '__proto__'), hostileText) }),
    fc.record({ cookies: fc.record({ a: fc.record({ prefix: printable }) }) }),
    fc.record({ query: fc.record({ a: fc.record({ regex: fc.oneof(printable, hostileText) }) }) }),
  ),
  redirect: fc.oneof(
    fc.constantFrom<unknown>(
      { host: 'x.example' },
      { to: '/a', status: 301 },
      { trailingSlash: 'add' },
      { status: 200 },
    ),
    fc.record({ host: hostileText }),
    fc.record({ regex: printable, to: fc.oneof(fc.constant('/a'), spoilt(fc.constant('/$1'))) }),
  ),
  rewrite: fc.oneof(
    fc.constantFrom<unknown>({ from: '/a', to: '/b' }, [{ regex: '^/(.)$', to: '/%25$1' }], []),
    fc.record({ regex: printable, to: fc.constantFrom('/a', '/$1') }),
    fc.record({ from: spoilt(fc.constant('/a')), to: spoilt(fc.constant('/b')) }),
  ),
  access: fc.constantFrom({ allow: ['10.0.0.0/8', '::1'], deny: ['10.66.0.0/16'] }, { deny: ['::1 '] }),
  ejection: fc.constantFrom<unknown>({ errors: 3 }, { most: '30%', for: '1s' }, { errors: 0 }, { within: '1s\n' }),
  rateLimit: fc.record(
    {
      requests: fc.constantFrom<unknown>(9, 8, '9'),
      per: fc.constantFrom('10s', '1h', '1s)'),
      by: fc.oneof(
        fc.constantFrom<unknown>('client', 'path', 'src) if TRUE'),
        fc.record({ header: fc.constantFrom('X-Key', 'X-Key),bool(1)') }),
        fc.record({ cookie: fc.constantFrom('s.id', 'a)b') }),
      ),
      scope: fc.constantFrom('balancer', 'fleet', 'all'),
    },
    { requiredKeys: ['requests', 'per'] },
  ),
  limits: fc.record(
    {
      body: fc.constantFrom<unknown>('10m', '1', '1k }', 5),
      headers: fc.constantFrom('1k', '15k', '8k\n'),
      requests: fc.constantFrom<unknown>(1, 20, '20'),
    },
    { requiredKeys: [] },
  ),
  auth: fc.oneof(
    fc.constantFrom<unknown>(
      { basic: { users: 'shop.users', realm: 'The shop', userHeader: 'X-User', forwardCredentials: true } },
      { basic: { users: 'a', realm: 'a"b' } },
      { basic: { users: '../a' } },
      { basic: { users: 'a', userHeader: 'Host' } },
      { jwt: { algorithm: 'RS256', keys: 'a' } },
      {
        jwt: {
          ...{ algorithm: 'HS256', keys: 'a', issuer: 'https://a.example/', audience: ['a', 'b'], leeway: '5s' },
          ...{ claims: { 'a.b': ['c'] }, headers: { 'X-A': 'sub' }, cookie: 'C' },
        },
      },
      { jwt: { algorithm: 'none', keys: 'a' } },
      { jwt: { algorithm: 'ES256', keys: 'a', issuer: "a'" } },
      { jwt: { algorithm: 'ES256', keys: 'a', claims: { "a'": 'b' } } },
      { jwt: { algorithm: 'ES256', keys: 'a', claims: { a: 'b }' } } },
      { basic: { users: 'a' }, jwt: { algorithm: 'RS256', keys: 'a' } },
    ),
    fc.constantFrom<unknown>(
      { certificate: { ca: 'a.pem', crl: 'a.crl', required: false, headers: { 'X-A': 'cn', 'X-B': 'dn' } } },
      { certificate: { ca: 'a', headers: { 'X-A': 'serial', 'X-B': 'fingerprint', 'X-C': 'der' } } },
      { certificate: { ca: 'a b' } },
      { certificate: { ca: 'a', crl: '../b' } },
      { certificate: { ca: 'a', headers: { 'X-A': 'cn)' } } },
      { forward: { service: 'b' } },
      { forward: { service: 'b', path: "/v?a=%'(),;", cache: '10s', cacheBy: 'credentials', onError: 'allow' } },
      { forward: { service: '_successor' } },
      { forward: { service: 'b', path: '/ v' } },
    ),
    fc.record({ forward: fc.record({ service: fc.constant('b'), path: spoilt(fc.constant('/v')) }) }),
    fc.record({
      forward: fc.record({
        service: fc.constant('b'),
        sendHeaders: fc.array(fc.oneof(fc.constantFrom('X-A', 'TE', 'Host'), hostileText), { maxLength: 2 }),
        copyHeaders: fc.array(fc.oneof(fc.constantFrom('X-B', 'Cookie'), hostileText), { maxLength: 2 }),
      }),
    }),
  ),
  errorPages: fc.oneof(
    fc.constantFrom<unknown>(
      { pages: { '99': 'a' } },
      { pages: { '503': '../a' } },
      { pages: {} },
      { intercept: true },
    ),
    fc.record({ pages: fc.dictionary(fc.constantFrom('600', '4xx '), hostileText, { minKeys: 1, maxKeys: 2 }) }),
    fc.record({ pages: fc.record({ '503': spoilt(fc.constant('.a')) }) }),
  ),
  headers: fc.oneof(
    fc.record({ request: fc.record({ set: fc.dictionary(fc.constantFrom('X-A', 'x b', '__proto__'), hostileText) }) }),
    fc.record({ request: fc.record({ set: fc.record({ 'X-B': printable }) }) }),
    fc.record({
      response: fc.record({
        remove: fc.subarray(['Server', 'Via', 'TE', 'a\r\nb']),
        add: fc.dictionary(fc.constant('X-C'), printable),
      }),
    }),
  ),
  compression: fc.constantFrom<unknown>({}, { types: ['text/html'] }, { types: ['text/html '] }),
  timeouts: fc.constantFrom<unknown>(
    { client: '5s', tunnel: '1h' },
    { connect: '1s', server: '1m', queue: '3s' },
    { server: '5s\n' },
    { connect: '1s ' },
  ),
  retries: fc.constantFrom<unknown>({ count: 0, on: ['503', 'empty-response'] }, { on: ['all'] }),
  balance: fc.constantFrom<unknown>(
    'leastconn',
    'first',
    'source',
    'uri',
    { header: 'X-A' },
    { header: 'X A' },
    'path\n',
  ),
  sticky: fc.constantFrom<unknown>(
    { cookie: 'C' },
    { cookie: 'C', secure: true, sameSite: 'Lax' },
    { cookie: 'C;' },
    { cookie: 'C', key: 'k-1' },
    { cookie: 'C', to: 'version' },
    { cookie: 'C;', to: 'version' },
    { cookie: 'C', to: 'v1' },
    { cookie: 'C', key: 'k 1' },
  ),
  slowStart: fc.constantFrom('10s', '10s '),
  maxconn: fc.constantFrom<unknown>(5, 0, '5'),
  maxqueue: fc.constantFrom<unknown>(5, 0, 1e7),
  split: fc.oneof(
    fc.constantFrom<unknown>({ v1: 95, '*': 5 }, { v1: 1, v2: 0.5 }, { v1: 0 }, { v1: -1 }, { v1: '1' }),
    fc.dictionary(hostileText, fc.constantFrom(1, 5), { maxKeys: 2 }),
  ),
  canary: fc.oneof(
    fc.constantFrom<unknown>(
      { version: 'v1', header: { name: 'X-C', value: '1' } },
      { version: 'v2', cookie: { name: 'c', value: 'on' } },
      { version: 'v1' },
    ),
    fc.record({ version: fc.constant('v1'), header: fc.record({ name: hostileText, value: fc.constant('1') }) }),
    fc.record({ version: fc.constant('v1'), cookie: fc.record({ name: fc.constant('c'), value: hostileText }) }),
  ),
  preferZone: fc.constantFrom<unknown>(true, false, 'z1'),
  guard: fc.constantFrom<unknown>('off', { share: '30%', minimum: 2, hold: '1m', queries: '5s' }, 'on', {
    share: '30% ',
  }),
  protocol: fc.constantFrom('h1', 'h2', 'h3'),
  tls: fc.constantFrom<unknown>(
    { verify: false },
    { name: 'a.example' },
    { ca: '../x' },
    { verify: false, name: 'a)' },
    { verify: false, certificate: '../x.pem' },
    { ca: 'ca.pem\n' },
  ),
  proxyProtocol: fc.constantFrom<unknown>('v1', 'v2', 'v3'),
  check: fc.constantFrom<unknown>({ kind: 'none' }, { kind: 'http', path: '/h' }, { kind: 'http', path: '/h?a=%\'', body: 'a "b" #', status: ['200'] }, { kind: 'grpc' }, { kind: 'http', path: '/ h' }, { kind: 'tcp', interval: '1s;' }, { kind: 'tcp', interval: '5s', timeout: '1s', rise: 2, fall: 9, port: 81 }, { kind: 'http', method: 'HEAD', host: 'h.example', status: ['200-299', '404'] }, { kind: 'http', host: 'h example' }, { kind: 'http', method: 'GET /' }, { kind: 'grpc', service: 'a.B' }, { kind: 'grpc', service: 'a b' }), // biome-ignore format: one line
};

/** A few fields, most of them right: with all of them hardly one policy would be. */
const decentPolicy = (ports: readonly number[]) =>
  fc
    .tuple(fc.subarray(Object.entries(policyFields), { maxLength: 3 }), fc.constantFrom('http', 'http', 'tcp', 'names'))
    .chain(([fields, mode]) =>
      fc.record({
        ...Object.fromEntries(fields),
        ...(mode === 'http' ? {} : { mode: fc.constant('tcp'), port: fc.constantFrom<unknown>(...ports, 0, '80') }),
        ...(mode === 'names'
          ? { sni: fc.subarray(['s.example', '*.t.example', '*', 'u.example'], { minLength: 1 }) }
          : {}),
      }),
    )
    .map((record) => JSON.stringify(record));

const decentOverride = fc
  .record(
    {
      kind: fc.constantFrom('drain', 'maintenance', 'weight', 'pause', 'Drain'),
      weight: fc.constantFrom<unknown>(0, 9, 256, 257, '9'),
      who: hostileText,
      why: hostileText,
      at: fc.constantFrom('2026-01-01T00:00:00Z', '2026-13-01T00:00:00Z'),
      until: fc.constantFrom('2100-01-01T00:00:00Z', '2026-01-01T00:05:00Z', '2001-01-01T00:00:00Z', 'soon'),
    },
    { requiredKeys: ['kind'] },
  )
  .map((record) => JSON.stringify(record));

const decentClaim = fc
  .record(
    {
      hosts: fc.array(fc.oneof(fc.constantFrom('r.example', '*.r.example', 'r.*', '*'), hostileText), { maxLength: 2 }),
      priority: fc.constantFrom<unknown>(0, 3, 999, 1001, '5'),
      ports: fc.constantFrom<unknown>([], [1], ['1-70000'], '5'),
      certificates: fc.constantFrom<unknown>([], ['a.pem'], ['/']),
    },
    { requiredKeys: [] },
  )
  .map((record) => JSON.stringify(record));

const area = fc.constantFrom(
  'instances',
  'services',
  'overrides',
  'claims',
  'releases',
  'balancers',
  'keys',
  'Instances',
  '',
  'x',
);
const hostileKey = fc.oneof(
  hostileText,
  fc.tuple(area, hostileText).map((parts) => parts.join('/')),
  fc.tuple(area, service, hostileText).map((parts) => parts.join('/')),
  fc.tuple(area, hostileText, instance).map((parts) => parts.join('/')),
  fc.tuple(area, service, instance, hostileText).map((parts) => parts.join('/')),
);

const decentChallenge = fc
  .record({
    host: fc.oneof(fc.constantFrom('x.example', 'good', '*', 'A.example'), hostileText),
    answer: fc.oneof(
      fc.constantFrom('t', 'u/v').map((t) => `${t}.${'k'.repeat(43)}`),
      hostileText,
    ),
  })
  .map((record) => JSON.stringify(record));

/** Entries to put: most are invalid, and some are valid, so that all ways into HAProxy are used. */
export const entry = (ports: readonly number[]) => {
  const value = fc.oneof(
    { weight: 3, arbitrary: hostileText },
    { weight: 3, arbitrary: hostileJson },
    { weight: 3, arbitrary: decentInstance },
    { weight: 2, arbitrary: fc.oneof(spoilt(decentInstance), spoilt(fc.constantFrom('127.0.0.1:81', '[::1]:82'))) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 200_000 }).map((n) => `10.0.0.1:80${'x'.repeat(n)}`) },
  );
  const policy = fc.oneof(hostileJson, decentPolicy(ports), spoilt(decentPolicy(ports)));
  return fc.oneof(
    { weight: 3, arbitrary: fc.tuple(hostileKey, value) },
    {
      weight: 4,
      arbitrary: fc.tuple(
        fc.tuple(service, instance).map(([s, i]) => `instances/${s}/${i}`),
        value,
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(
        service.map((s) => `services/${s}`),
        policy,
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.tuple(service, fc.oneof(instance, fc.constant('*'))).map(([s, i]) => `overrides/${s}/${i}`),
        fc.oneof(hostileJson, decentOverride, spoilt(decentOverride)),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.oneof(service, fc.constant('*')).map((s) => `claims/${s}`),
        fc.oneof(hostileJson, decentClaim, spoilt(decentClaim)),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(
        fc.oneof(fc.constantFrom('t', 'u'), hostileText).map((t) => `challenges/${t}`),
        fc.oneof(hostileJson, decentChallenge, spoilt(decentChallenge)),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constantFrom('instances/good/one', 'services/good', 'claims/good'), spoiltGood),
    },
  );
};

/** Wrong in whatever way, so that what was good before goes on being served. */
const spoiltGood = fc.oneof(hostileText, hostileJson).filter((text) => !/^\s*(\{|[\w.[\]:-]+:\d+\s*$)/.test(text));
