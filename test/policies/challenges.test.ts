import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { foldEntries } from '../../src/catalog/fold-event.ts';
import type { Refusal } from '../../src/fleet/acknowledgement.ts';
import { formatChallenge } from '../../src/model/acme/challenge.ts';
import { challengeKey } from '../../src/model/acme/keys.ts';
import { revision } from '../../src/model/revision.ts';
import { exchange } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { startEcho } from '../support/echo.ts';
import { issuePem } from '../support/pem.ts';
import { freePorts } from '../support/ports.ts';
import { askRaw } from '../support/raw-request.ts';
import { reloadingPolicy, startOwnBalancer, startServing } from '../support/serving.ts';
import { until } from '../support/until.ts';

const token = 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA';
const answer = `${token}.${'9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI'}`;
const path = `/.well-known/acme-challenge/${token}`;
const challenge = (host: string): Record<string, string> => ({
  [challengeKey(token)]: formatChallenge({ host, answer }),
});

/** How a balancer answers a request for the challenge. */
const askChallenge = ({ port }: TestBalancer, host: string, of = path) => exchange(port, { host, path: of });

/** The process of the worker, which each reload replaces. */
const workerOf = async ({ command }: TestBalancer) =>
  /^Pid: (\d+)$/m.exec((await command('show info')).join('\n'))?.[1];

const policies = {
  plain: { hosts: ['shop.example.com'] },
  redirecting: { hosts: ['redirecting.example.com'], https: 'redirect' },
  closed: { hosts: ['closed.example.com'], access: { allow: ['10.9.9.9'] } },
  maintained: { hosts: ['maintained.example.com'], maintenance: true },
  stripping: { hosts: ['stripping.example.com'], paths: ['/.well-known'], strip: true },
  own: { hosts: ['own.example.com'], paths: [path] },
  matching: { hosts: ['matching.example.com'], match: { methods: ['GET'] } },
  rest: { hosts: ['*.any.example.com'] },
};

describe.each([true, false])('with normalizePaths %s, a challenge is answered', (normalizePaths) => {
  let balancer: TestBalancer;
  let app: Awaited<ReturnType<typeof startEcho>>;
  beforeAll(async () => {
    app = await startEcho('app');
    balancer = await startBalancer({ baseSettings: { acme: true, normalizePaths } });
    balancer.snapshot({
      ...Object.fromEntries(Object.entries(policies).map(([name, one]) => [`services/${name}`, JSON.stringify(one)])),
      ...Object.fromEntries(Object.keys(policies).map((name) => [`instances/${name}/a`, app.address])),
    });
    await balancer.balancer.start();
  });
  afterAll(async () => {
    await balancer?.stop();
    await app?.close();
  });

  test.each([
    ['of a service', 'shop.example.com'],
    ['whose service redirects to HTTPS', 'redirecting.example.com'],
    ['whose service lets no such client in', 'closed.example.com'],
    ['whose service is in maintenance', 'maintained.example.com'],
    ['whose service removes segments of the path', 'stripping.example.com'],
    ['whose service has a route with the path of the challenge', 'own.example.com'],
    ['whose service has routes with a match', 'matching.example.com'],
    ['of a wildcard', 'one.any.example.com'],
    ['of no service', 'nobody.example.com'],
  ])('for a host %s', async (_, host) => {
    const worker = await workerOf(balancer);
    const was = (await askChallenge(balancer, host)).status;
    balancer.change(challenge(host));
    await until('the challenge is answered', async () => (await askChallenge(balancer, host)).body === answer);
    expect(await askChallenge(balancer, host)).toMatchObject({ status: 200, body: answer });
    expect(await askChallenge(balancer, host.toUpperCase())).toMatchObject({ status: 200, body: answer });
    expect(await askChallenge(balancer, `${host}:80`)).toMatchObject({ status: 200, body: answer });
    const unusual = await askRaw(balancer.port, path, [`Host: ${host}`, 'X_Forwarded_For: 1.2.3.4']);
    expect(unusual).toMatchObject({ status: 200 });
    expect(unusual.body.endsWith(answer)).toBe(true);
    // Another host and another token are the service's.
    expect((await askChallenge(balancer, `other.${host}`)).body).not.toContain(answer);
    expect((await askChallenge(balancer, host, `${path}x`)).body).not.toContain(answer);
    balancer.change({ [challengeKey(token)]: undefined });
    await until('the service has the path again', async () => (await askChallenge(balancer, host)).status === was);
    // There was no reload.
    expect(await workerOf(balancer)).toBe(worker);
  });
});

/** The challenges that a balancer says it does not answer, since it announced the newest revision that was offered. */
async function refusedBy(balancer: TestBalancer, change: () => void): Promise<ReadonlyMap<string, Refusal>> {
  const refused = new Map<string, Refusal>();
  let at: bigint | undefined;
  balancer.balancer.observe({
    onApplied: () => undefined,
    trouble: undefined,
    onServed: ({ revision }, { unserved }) => {
      refused.clear();
      for (const one of unserved) refused.set(one.key, one);
      at = revision;
    },
  });
  change();
  const { revisionSeen } = balancer.balancer.status();
  await until('the revision is announced', () => at === revisionSeen);
  return refused;
}

test('a balancer announces a challenge only when HAProxy answers it', async () => {
  const balancer = await startOwnBalancer({ baseSettings: { acme: true } });
  balancer.snapshot({});
  await balancer.balancer.start();
  const refused = await refusedBy(balancer, () => balancer.change(challenge('shop.example.com')));
  expect(refused.size).toBe(0);
  expect(await askChallenge(balancer, 'shop.example.com')).toMatchObject({ status: 200, body: answer });
});

const askHttps = async (options: RequestOptions): Promise<string> => {
  const [response] = (await once(request(options).end(), 'response')) as [IncomingMessage];
  return text(response);
};

test('a challenge is answered over HTTPS, too: an authority follows a redirect', async () => {
  const [https = 0] = await freePorts(1);
  const dir = await mkdtemp(join(tmpdir(), 'pm-https-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await issuePem(dir, 'shop.example.com');
  await writeFile(join(dir, 'crt-list'), `${join(dir, 'shop.example.com.pem')}\n`);
  const list = { bind: `127.0.0.1:${https}`, list: join(dir, 'crt-list'), http3: false };
  const { balancer } = await startServing(
    { baseSettings: { acme: true, https: list } },
    { 'services/web': '{"hosts":["shop.example.com"],"https":"redirect"}', ...challenge('shop.example.com') },
  );
  expect((await askChallenge(balancer, 'shop.example.com')).body).toBe(answer);
  const over = { port: https, servername: 'shop.example.com', headers: { host: 'shop.example.com' }, path };
  expect(await askHttps({ ...over, host: '127.0.0.1', rejectUnauthorized: false })).toBe(answer);
});

test('a balancer without --acme says that it answers no challenge', async () => {
  const balancer = await startOwnBalancer();
  balancer.snapshot({});
  await balancer.balancer.start();
  const refused = await refusedBy(balancer, () => balancer.change(challenge('shop.example.com')));
  expect(refused.get(challengeKey(token))).toMatchObject({
    reason: 'this balancer does not answer challenges: start it with --acme',
    final: true,
  });
  expect((await askChallenge(balancer, 'shop.example.com')).status).toBe(404);
  expect(await balancer.config()).not.toContain('_acme');
});

test('an own base configuration without the backend for challenges is named', async () => {
  const templates = await mkdtemp(join(tmpdir(), 'pm-own-'));
  onTestFinished(() => rm(templates, { recursive: true, force: true }));
  const shipped = await readFile(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
  const own = shipped.replace(/\{\{#acme\}\}.*\{\{\/acme\}\}\n/s, '');
  await writeFile(join(templates, 'haproxy.cfg.mustache'), own);
  const balancer = await startOwnBalancer({ templates, baseSettings: { acme: true } });
  balancer.snapshot({});
  await balancer.balancer.start();
  const refused = await refusedBy(balancer, () => balancer.change(challenge('shop.example.com')));
  expect(refused.get(challengeKey(token))).toMatchObject({
    reason: expect.stringContaining('haproxy.cfg.mustache has no backend _acme'),
    final: true,
  });
});

test('a challenge is answered during a reload and after it', async () => {
  const { balancer } = await startServing({ baseSettings: { acme: true } });
  const worker = await workerOf(balancer);
  balancer.change({ 'services/web': reloadingPolicy(1), ...challenge('shop.example.com') });
  await until(
    'the challenge is answered',
    async () => (await askChallenge(balancer, 'shop.example.com')).body === answer,
  );
  let wrong = 0;
  await until('HAProxy has reloaded', async () => {
    if ((await askChallenge(balancer, 'shop.example.com')).body !== answer) wrong += 1;
    return (await workerOf(balancer)) !== worker;
  });
  await balancer.applied();
  expect((await askChallenge(balancer, 'shop.example.com')).body).toBe(answer);
  expect(wrong).toBe(0);
});

test('a balancer that is started again goes on answering a challenge', async () => {
  const first = await startBalancer({ baseSettings: { acme: true } });
  first.snapshot(challenge('shop.example.com'));
  await first.balancer.start();
  await first.stop({ keep: true });
  const second = await startOwnBalancer({ baseSettings: { acme: true }, dir: first.dir, port: first.port });
  await second.balancer.start();
  expect((await askChallenge(second, 'shop.example.com')).body).toBe(answer);
  second.snapshot({});
  await until('the challenge is gone', async () => (await askChallenge(second, 'shop.example.com')).status === 404);
});

test('a thousand challenges are answered without a reload, and one more waits for room', async () => {
  const balancer = await startOwnBalancer({ baseSettings: { acme: true } });
  balancer.snapshot({});
  await balancer.balancer.start();
  const worker = await workerOf(balancer);
  const one = (i: number) => [challengeKey(`t${i}`), formatChallenge({ host: `h${i}.example.com`, answer })] as const;
  const last = '/.well-known/acme-challenge/t1000';
  const refused = await refusedBy(balancer, () =>
    balancer.change(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => one(i)))),
  );
  expect(refused.size).toBe(0);
  expect(balancer.balancer.status().catalog.rejected.get(challengeKey('t1000'))?.reason).toMatch(/1000 challenges/);
  for (const i of [0, 500, 999])
    expect((await askChallenge(balancer, `h${i}.example.com`, `/.well-known/acme-challenge/t${i}`)).body).toBe(answer);
  expect((await askChallenge(balancer, 'h1000.example.com', last)).status).toBe(404);
  balancer.change({ [challengeKey('t3')]: undefined });
  await until('there is room', async () => (await askChallenge(balancer, 'h1000.example.com', last)).body === answer);
  expect(await workerOf(balancer)).toBe(worker);
});

test.each([
  ['a token with a slash', 'challenges/a/b', { host: 'shop.example.com', answer }],
  ['a token that would end a command', 'challenges/a;b', { host: 'shop.example.com', answer }],
  ['a host with a slash', challengeKey(token), { host: 'shop.example.com/x', answer }],
  ['a host in capitals', challengeKey(token), { host: 'SHOP.example.com', answer }],
  ['a wildcard', challengeKey(token), { host: '*', answer }],
  ['an answer with a line break', challengeKey(token), { host: 'shop.example.com', answer: `${answer}\nx y` }],
  ['an answer that is a format', challengeKey(token), { host: 'shop.example.com', answer: '%[env(HOME)]' }],
  ['an unknown field', challengeKey(token), { host: 'shop.example.com', answer, service: 'web' }],
])('a challenge with %s is rejected', (_, key, value) => {
  const { catalog } = foldEntries(
    new Map([[key, { key, value: JSON.stringify(value), revision: revision(1n), leased: false }]]),
  );
  expect([...catalog.rejected.keys()]).toEqual([key]);
  expect(catalog.challenges.size).toBe(0);
});

test('a malformed value of a challenge leaves its last good answer', async () => {
  const balancer = await startOwnBalancer({ baseSettings: { acme: true } });
  balancer.snapshot(challenge('shop.example.com'));
  await balancer.balancer.start();
  balancer.change({ [challengeKey(token)]: '{"host":' });
  await balancer.applied();
  expect((await askChallenge(balancer, 'shop.example.com')).body).toBe(answer);
});
