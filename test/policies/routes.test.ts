import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { askEcho, startEcho } from '../support/echo.ts';

const policies = {
  shop: { hosts: ['shop.example.com', '*.shop.example.com'] },
  api: {
    routes: [
      { hosts: ['shop.example.com', 'api.example.com'], paths: ['/api', '/v1/api'], strip: true },
      { hosts: ['shop.example.com'], paths: ['/api/raw'] },
    ],
  },
  sale: { hosts: ['*.example.com'], paths: ['/sale'], priority: 1 },
  old: { hosts: ['old.example.com'], paths: ['/old//v1', '/old//'], strip: true },
  rest: { hosts: ['*'] },
};

let balancer: TestBalancer;
let apps: Awaited<ReturnType<typeof startEcho>>[];

beforeAll(async () => {
  apps = await Promise.all([...Object.keys(policies), 'plain'].map(startEcho));
  balancer = await startBalancer();
  balancer.snapshot({
    ...Object.fromEntries(
      Object.entries(policies).map(([name, policy]) => [`services/${name}`, JSON.stringify(policy)]),
    ),
    'claims/sale': '{"priority":1}',
    ...Object.fromEntries(apps.map(({ name, address }) => [`instances/${name}/a`, address])),
  });
  await balancer.balancer.start();
});
afterAll(async () => {
  await balancer?.stop();
  await Promise.all(apps.map((app) => app.close()));
});

describe('a request goes to the service', () => {
  test.each([
    ['whose host it names', 'shop.example.com', '/x', 'shop', '/x'],
    ['whose host it names, with a port and in capitals', 'SHOP.example.com:8443', '/', 'shop', '/'],
    ['whose wildcard takes in its host', 'uk.shop.example.com', '/apiary', 'shop', '/apiary'],
    ['that has its own name and no policy', 'plain', '/x?y=1', 'plain', '/x?y=1'],
    ['that has its own name as the first label', 'plain.internal', '/', 'plain', '/'],
    ['with the longest of the paths', 'shop.example.com', '/api/users?id=7', 'api', '/users?id=7'],
    ['without the prefix that the route strips', 'api.example.com', '/api', 'api', '/'],
    ['without a prefix of two segments', 'api.example.com', '/v1/api/users/', 'api', '/users/'],
    ['without a prefix that has an empty segment', 'old.example.com', '/old//v1/users', 'old', '/users'],
    ['without a prefix that ends with an empty segment', 'old.example.com', '/old//users', 'old', '/users'],
    [
      'with the prefix, where another route of the service keeps it',
      'shop.example.com',
      '/api/raw/1',
      'api',
      '/api/raw/1',
    ],
    ['but a path that only begins with the same letters', 'shop.example.com', '/apiary', 'shop', '/apiary'],
    ['whose route has the higher priority', 'shop.example.com', '/sale/today', 'sale', '/sale/today'],
    ['that takes all the rest', 'else.example', '/sale', 'rest', '/sale'],
  ])('%s: %s%s', async (_, host, path, name, url) => {
    expect(await askEcho(balancer.port, { host, path })).toMatchObject({ name, url });
  });

  test('and tells it what was stripped', async () => {
    const { headers } = await askEcho(balancer.port, { host: 'api.example.com', path: '/v1/api/users' });
    expect(headers['x-forwarded-prefix']).toBe('/v1/api');
  });

  test('also when it names no host that anybody could have', async () => {
    expect((await askEcho(balancer.port, { host: '' })).name).toBe('rest');
  });
});

test('other hosts, paths and priorities, and another prefix to strip, cost no reload', async () => {
  const reloads = await balancer.metric('reloads_total');
  balancer.change({
    'services/api': JSON.stringify({
      routes: [
        { hosts: ['new.example.com'], paths: ['/new'], strip: true },
        { hosts: ['new.example.com'], paths: ['/two/segments'], strip: true },
      ],
    }),
    'services/rest': undefined,
  });
  await balancer.applied();
  expect((await askEcho(balancer.port, { host: 'new.example.com', path: '/new/x' })).url).toBe('/x');
  expect((await ask(balancer.port, 'else.example')).status).toBe(404);
  expect(await balancer.metric('reloads_total')).toBe(reloads);
});

test('a route stays with the service that had its policy first, and the other service is named', async () => {
  const found = async () => (await askEcho(balancer.port, { host: 'shop.example.com' })).name;
  const put = async (policies: Readonly<Record<string, object | undefined>>) => {
    const changes = Object.entries(policies).map(([name, one]) => [`services/${name}`, one && JSON.stringify(one)]);
    balancer.change(Object.fromEntries(changes));
    await balancer.applied();
  };
  await put({ plain: { hosts: ['shop.example.com', 'old', 'old.*'] } });
  expect(await found()).toBe('shop');
  expect((await askEcho(balancer.port, { host: 'old' })).name).toBe('plain');
  expect(balancer.lines.join('')).toContain(
    'plain does not get the route shop.example.com/: shop has it, and its policy is older',
  );
  await put({ shop: { hosts: ['shop.example.com'], maxconn: 100 } });
  expect(await found()).toBe('shop');
  await put({ shop: undefined });
  await put({ shop: policies.shop });
  expect(await found()).toBe('plain');
  // Its own name is its own, although plain asked for it first.
  await put({ old: undefined });
  expect((await askEcho(balancer.port, { host: 'old' })).name).toBe('old');
});
