import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { unmatched } from '../../src/balance/reconcile/unmatched.ts';
import { describeConflict } from '../../src/render/conflict.ts';
import { exchange } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { startEcho } from '../support/echo.ts';

const hosts = ['shop.example.com'];
const names = ['web', 'a', 'b', 'c'];
let balancer: TestBalancer;
let apps: Awaited<ReturnType<typeof startEcho>>[];

beforeAll(async () => {
  apps = await Promise.all(names.map(startEcho));
  balancer = await startBalancer();
  balancer.snapshot({
    ...Object.fromEntries(apps.map(({ name, address }) => [`instances/${name}/i`, address])),
    'services/web': JSON.stringify({ hosts }),
    'services/a': '{}',
    'services/b': '{}',
    'services/c': '{}',
  });
  await balancer.balancer.start();
});
afterAll(async () => {
  await balancer?.stop();
  await Promise.all(apps.map((app) => app.close()));
});

const put = async (changes: Readonly<Record<string, object | undefined>>) => {
  balancer.change(Object.fromEntries(Object.entries(changes).map(([key, one]) => [key, one && JSON.stringify(one)])));
  await balancer.applied();
};

const who = async (headers: Record<string, string> = {}, path = '/', host = 'shop.example.com', of = balancer) => {
  const { status, body } = await exchange(of.port, { host, path, headers });
  return status === 200 ? (JSON.parse(body) as { name: string }).name : status;
};

const x = { 'X-A': '1' };
const match = { headers: x };

test('matches come, change and go without a reload', async () => {
  const reloads = await balancer.metric('reloads_total');
  await put({ 'services/a': { hosts, match } });
  expect([await who(x), await who()]).toEqual(['a', 'web']);
  await put({ 'services/a': { hosts, match: { headers: { 'X-A': { regex: '^[2-9]$' } } } } });
  expect([await who(x), await who({ 'X-A': '7' })]).toEqual(['web', 'a']);
  await put({ 'services/b': { hosts, match: { headers: { 'X-A': '7', 'X-B': '1' } } } });
  expect([await who({ 'X-A': '7', 'X-B': '1' }), await who({ 'X-A': '7' })]).toEqual(['b', 'a']);
  await put({ 'services/b': {} });
  expect(await who({ 'X-A': '7', 'X-B': '1' })).toBe('a');
  await put({ 'services/a': {} });
  expect(await who({ 'X-A': '7' })).toBe('web');
  expect((await balancer.link.inspect()).routes?.get('shop.example.com/')).toBe('web');
  expect(await balancer.metric('reloads_total')).toBe(reloads);
});

test('a match has no effect on the requests of another one while requests arrive', async () => {
  await put({ 'services/a': { hosts, match } });
  let asking = true;
  const seen = new Set<unknown>();
  const client = (async () => {
    while (asking) seen.add(await who(x));
  })();
  for (let i = 0; i < 20; i += 1) {
    await put({ 'services/b': { hosts, match: { headers: { 'X-B': `${i}` }, method: 'GET' } } });
    await put({ 'services/b': {} });
  }
  asking = false;
  await client;
  expect([...seen]).toEqual(['a']);
});

test('priorities decide between matches, and over a route without a match', async () => {
  await put({ 'claims/*': { priority: 100 } });
  await put({
    'services/a': { hosts, match, priority: 1 },
    'services/b': { hosts, match: { headers: { 'X-A': '1', 'X-B': '1' } } },
  });
  expect(await who({ ...x, 'X-B': '1' })).toBe('a');
  await put({ 'services/web': { hosts, priority: 1 } });
  expect(await who({ ...x, 'X-B': '1' })).toBe('a');
  await put({ 'services/web': { hosts, priority: 2 } });
  expect(await who({ ...x, 'X-B': '1' })).toBe('web');
  await put({ 'services/web': { hosts }, 'services/c': { hosts: ['*'], match, priority: 5 } });
  expect([await who(x), await who()]).toEqual(['c', 'web']);
  expect(await who(x, '/', 'other.example')).toBe('c');
  await put({ 'services/a': {}, 'services/b': {}, 'services/c': {}, 'claims/*': undefined });
  expect([await who(x), await who({}, '/', 'other.example')]).toEqual(['web', 404]);
});

test('of two services with one match, one gets the requests, and a conflict names both', async () => {
  await put({ 'services/a': { hosts, match } });
  await put({ 'services/b': { hosts, match } });
  expect(await who(x)).toBe('a');
  expect(balancer.balancer.status().conflicts.map(describeConflict)).toEqual([
    'b does not get the route shop.example.com/ (header x-a "1"): a has it, as the first by name',
  ]);
  await put({ 'services/a': {} });
  expect(await who(x)).toBe('b');
});

test('an own base configuration without the rules for matches serves the other routes, and the policies are named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-match-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(join(import.meta.dirname, '../../templates'), folder, { recursive: true });
  const file = join(folder, 'haproxy.cfg.mustache');
  const frame = await readFile(file, 'utf8');
  await writeFile(file, frame.replace(/^.*(pointsman_match|matchScript).*\n/gm, ''));
  const own = await startBalancer({ templates: folder });
  onTestFinished(() => own.stop());
  own.snapshot({
    'services/web': JSON.stringify({ hosts }),
    'services/a': JSON.stringify({ hosts, match }),
    ...Object.fromEntries(apps.map(({ name, address }) => [`instances/${name}/i`, address])),
  });
  await own.balancer.start();
  expect(await who(x, '/', 'shop.example.com', own)).toBe('web');
  const text = await readFile(file, 'utf8');
  const template = { file, text, render: () => text };
  const templates = { frame: template, policy: template, backend: template, server: template };
  const { catalog } = own.balancer.status();
  expect(unmatched(catalog, templates, true)).toMatchObject([{ key: 'services/a' }]);
  expect(unmatched(catalog, { ...templates, frame: { ...template, text: frame } }, true)).toEqual([]);
  expect(unmatched(catalog, { ...templates, frame: { ...template, text: frame } }, false)).toMatchObject([
    { key: 'services/a', reason: expect.stringContaining('without Lua') },
  ]);
});
