import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { rejectedKey } from '../src/catalog/limits.ts';
import { policyFieldNames } from '../src/model/policy.ts';
import { ask, startApp } from './support/app.ts';
import { startBalancer, type TestBalancer } from './support/balancer.ts';
import { hostileJson, hostileText, spoilt } from './support/hostile.ts';
import { freePorts } from './support/ports.ts';
import { readConfig, serverKeywords } from './support/read-config.ts';
import { until } from './support/until.ts';

// `npm run test:fuzz` puts in 100,000 entries; FUZZ_SEED repeats a run.
const wanted = Number(process.env['FUZZ_ENTRIES'] ?? 5000);
const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
const batchSize = 400;
const mostKeys = 1200;

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

const policyFields: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  hosts: fc.array(fc.oneof(fc.constantFrom('x.example', '*.y.example', 'z.*', '*'), hostileText), { maxLength: 3 }),
  paths: fc.array(fc.oneof(fc.constantFrom('/', '/a', '/b/'), spoilt(fc.constant('/a'))), {
    minLength: 1,
    maxLength: 3,
  }),
  strip: fc.constantFrom<unknown>(true, false, 'true'),
  priority: fc.constantFrom<unknown>(0, -5, '5'),
  maintenance: fc.constantFrom<unknown>(true, false, 'yes'),
  https: fc.constantFrom<unknown>('redirect', 'optional', 'redirect ', { redirect: 8443 }, { redirect: '443' }),
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
  access: fc.constantFrom({ allow: ['10.0.0.0/8', '::1'], deny: ['10.66.0.0/16'] }, { deny: ['::1 '] }),
  rateLimit: fc.record({ requests: fc.constantFrom<unknown>(9, 8, '9'), per: fc.constantFrom('10s', '1h', '1s)') }),
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
    { cookie: 'C', key: 'k 1' },
  ),
  slowStart: fc.constantFrom('10s', '10s '),
  maxconn: fc.constantFrom<unknown>(5, 0, '5'),
  maxqueue: fc.constantFrom<unknown>(5, 0, 1e7),
  split: fc.oneof(
    fc.constantFrom<unknown>({ v1: 95, '*': 5 }, { v1: 1, v2: 0.5 }, { v1: 0 }, { v1: -1 }, { v1: '1' }),
    fc.dictionary(hostileText, fc.constantFrom(1, 5), { maxKeys: 2 }),
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

test('hostile policies have every field that there is', () => {
  expect([...Object.keys(policyFields), 'mode', 'port'].sort()).toEqual([...policyFieldNames].sort());
});

/** A few fields, most of them right: with all of them hardly one policy would be. */
const decentPolicy = (ports: readonly number[]) =>
  fc
    .tuple(fc.subarray(Object.entries(policyFields), { maxLength: 3 }), fc.constantFrom('http', 'http', 'tcp'))
    .chain(([fields, mode]) =>
      fc.record({
        ...Object.fromEntries(fields),
        ...(mode === 'http' ? {} : { mode: fc.constant(mode), port: fc.constantFrom<unknown>(...ports, 0, '80') }),
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

/** What somebody puts: mostly wrong, and among it what is right, so that every way into HAProxy is taken. */
const entry = (ports: readonly number[]) => {
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
      arbitrary: fc.tuple(fc.constantFrom('instances/good/one', 'services/good', 'claims/good'), spoiltGood),
    },
  );
};

/** Wrong in whatever way, so that what was good before goes on being served. */
const spoiltGood = fc.oneof(hostileText, hostileJson).filter((text) => !/^\s*(\{|[\w.[\]:-]+:\d+\s*$)/.test(text));

const ids = { name: '[A-Za-z0-9][A-Za-z0-9._-]{0,62}', id: '[A-Za-z0-9][A-Za-z0-9._:-]{0,126}' };
const at = `${ids.name}/${ids.id}`;
const safe = '[A-Za-z0-9._:/[\\]@+,*=~-]+';
const commands = (map: string) =>
  [
    'prompt',
    'show info',
    'show servers state',
    'show version',
    'show env POINTSMAN_PAUSE',
    'get var proc.pointsman_config',
    'get var proc.pointsman_plain',
    'set var proc.pointsman_plain bool\\([01]\\)',
    'show ssl ca-file',
    'show ssl cert',
    'help',
    'experimental-mode on',
    'help add backend',
    'show backend',
    `show map ${map}`,
    `(?:add|set) map ${map} ${safe} ${ids.name}(?:/[1-9])?`,
    `(?:add|set) map ${map} SERVICE:${ids.name} (?:maintenance|pause/[0-9]+)`,
    `del map ${map} ${safe}`,
    `add server ${at} ${safe} weight [0-9]{1,3}${serverKeywords}(?: init-addr last,libc,none)?(?: check-sni ${safe})?`,
    `enable dynamic-cookie backend ${ids.name}`,
    `del server ${at}`,
    `enable health ${at}`,
    `set server ${at} state (?:ready|maint|drain)`,
    `set server ${at} weight [0-9]{1,3}`,
    `set server ${at} health (?:up|down)`,
    `set server ${at} addr [A-Za-z0-9.:-]+ port [1-9][0-9]{0,4}`,
    `(?:publish|unpublish|del) backend ${ids.name}`,
    `add backend ${ids.name} from policy-[0-9a-f]{32} mode (http|tcp)`,
  ].map((form) => new RegExp(`^${form}$`));

async function ownTemplates(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pm-fuzz-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const shipped = await readFile(join(import.meta.dirname, '../templates/server.mustache'), 'utf8');
  // The one free text that a registration may hold, put where it could do most.
  await writeFile(join(folder, 'server.mustache'), `${shipped.trimEnd()}{{#meta.x}} check-sni {{meta.x}}{{/meta.x}}\n`);
  return folder;
}

function heapMb(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** Keys that were put and not deleted, and that nothing is said of: neither served nor named among the rejected. */
function unaccounted({ balancer }: TestBalancer, keys: Iterable<string>): string[] {
  const { accepted, rejected } = balancer.status().catalog;
  const other = /^(releases|balancers|keys)(\/|$)/;
  return [...keys].filter((key) => !accepted.has(key) && !rejected.has(rejectedKey(key)) && !other.test(key));
}

/** Instances in the catalog without a line, but for those that are named among the rejected. */
function missing({ balancer }: TestBalancer, lines: ReadonlyMap<string, string>): string[] {
  const { catalog, rejected } = balancer.status();
  const told = new Set(rejected.map(({ key }) => key));
  return [...catalog.services.values()]
    .flatMap(({ name, instances }) => [...instances.keys()].map((id) => `${name}/${id}`))
    .filter((name) => !lines.has(name) && !told.has(`instances/${name}`));
}

/** Lines whose instance is neither in the catalog nor held by the guard, for which a policy may ask. */
function unwanted({ balancer, guarding }: TestBalancer, lines: ReadonlyMap<string, string>): string[] {
  const { services } = guarding.served(balancer.status().catalog);
  const wanted = new Set(
    [...services.values()].flatMap(({ name, instances }) => [...instances.keys()].map((id) => `${name}/${id}`)),
  );
  return [...lines.keys()].filter((name) => !wanted.has(name));
}

test(`${wanted} hostile entries change nothing but what the templates mean`, { timeout: 1_800_000 }, async () => {
  process.stdout.write(`fuzz: FUZZ_ENTRIES=${wanted} FUZZ_SEED=${seed}\n`);
  const commandForms: RegExp[] = [];
  const strange: string[] = [];
  const balancer = await startBalancer({
    templates: await ownTemplates(),
    // Keys are deleted here by hundreds, and are meant to be.
    guard: { share: 1 },
    onCommand: (line) => {
      if (!commandForms.some((form) => form.test(line))) strange.push(line);
    },
  });
  onTestFinished(() => balancer.stop());
  onTestFailed(() => {
    const lines = balancer.lines.filter((line) => !line.includes('HAProxy says'));
    process.stderr.write(lines.slice(-40).join('').slice(-20_000));
  });
  commandForms.push(...commands(balancer.paths.routesMap.replaceAll('.', '\\.')));
  const app = await startApp('good');
  onTestFinished(() => app.close());

  balancer.snapshot({});
  await balancer.balancer.start();
  const bare = await balancer.config();
  // Of the highest priority: a claim may allow others one, too.
  balancer.change({
    'claims/good': '{"priority":1000}',
    'instances/good/one': app.address,
    'services/good': '{"hosts":["good"],"priority":1000}',
  });
  await balancer.applied();
  const served = async () => expect(await ask(balancer.port, 'good')).toEqual({ status: 200, body: 'good' });
  await served();

  const entries = entry(await freePorts(3));
  const live = new Set<string>();
  let rejections = 0;
  let heap = 0;
  for (let batch = 0; batch * batchSize < wanted; batch += 1) {
    const puts = Object.fromEntries(fc.sample(entries, { numRuns: batchSize, seed: seed + batch }));
    const leaving = [...live].slice(0, Math.max(0, live.size - mostKeys));
    for (const key of leaving) live.delete(key);
    for (const key of Object.keys(puts)) if (!key.includes('/good')) live.add(key);
    balancer.change({ ...Object.fromEntries(leaving.map((key) => [key, undefined])), ...puts });
    await served();
    await balancer.applied();
    await served();
    expect(strange).toEqual([]);
    expect(unaccounted(balancer, live)).toEqual([]);

    const read = await until('the file is what runs', async () => {
      const now = readConfig(await balancer.config(), bare);
      const believed = [...balancer.balancer.status().served.backends.values()].flatMap(({ name, servers }) =>
        [...servers.keys()].map((id) => `${name}/${id}`),
      );
      return now.strange.length > 0 || [...now.servers.keys()].sort().join() === believed.sort().join()
        ? now
        : undefined;
    });
    expect(read.strange).toEqual([]);
    expect(missing(balancer, read.servers)).toEqual([]);
    expect(unwanted(balancer, read.servers)).toEqual([]);
    const inFile = [...read.servers.keys()].sort();
    await until('HAProxy runs just what the file says', async () => {
      const running = await balancer.link.inspect();
      const names = [...running.servers]
        .filter(([name]) => !name.startsWith('_'))
        .flatMap(([name, servers]) => [...servers.keys()].map((id) => `${name}/${id}`));
      expect(names.sort()).toEqual(inFile);
      return true;
    });

    const { catalog, rejected } = balancer.balancer.status();
    for (const { reason } of [...catalog.rejected.values(), ...rejected])
      expect(reason).toMatch(/^[\x20-\x7e]{3,900}$/);
    expect(rejected.length).toBeLessThanOrEqual(1000);
    expect(await balancer.metric('rejected_entries')).toBeGreaterThanOrEqual(catalog.rejected.size);
    const total = await balancer.metric('rejections_total');
    expect(total).toBeGreaterThan(rejections);
    rejections = total;
    const told = balancer.lines.splice(0).filter((line) => /"event":"(entry-rejected|not-rendered)"/.test(line));
    expect(told.length).toBeGreaterThan(0);
    // A batch is one change of the registry and at most a few rounds.
    expect(told.length).toBeLessThan(100);
    for (const line of told) expect(line).toMatch(/^[\x20-\x7e]{1,3000}\n$/);
    if (batch === 2) heap = heapMb();
  }

  // What was put is gone, and nothing of it is left in memory, in the file or in HAProxy.
  balancer.change(Object.fromEntries([...live].map((key) => [key, undefined])));
  await balancer.applied();
  await served();
  const { catalog, rejected } = balancer.balancer.status();
  expect([...catalog.services.keys()]).toEqual(['good']);
  expect([...catalog.rejected.keys()].filter((key) => !key.includes('/good'))).toEqual([]);
  expect(rejected.filter(({ key }) => !key.includes('/good'))).toEqual([]);
  expect(heapMb()).toBeLessThan(heap + 40);
});
