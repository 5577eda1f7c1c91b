import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { serveAll } from '../support/policies.ts';
import { until } from '../support/until.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));
const addresses = new Map<string, string>();

const version = (name: string, of: string, more: object = {}) => ({
  address: addresses.get(name) ?? '',
  version: of,
  ...more,
});
const sticky = { cookie: 'V', to: 'version', secure: true, sameSite: 'Lax' };
const halves = { split: { v1: 50, v2: 50 }, sticky };
// Nothing listens at the port 1, and its check says so.
const down = (of: string) => ({ address: '127.0.0.1:1', version: of });

const served = serveAll(async () => {
  for (const name of ['old-1', 'old-2', 'old-3', 'new-1', 'new-2']) {
    const app = await startApp(name);
    addresses.set(name, app.address);
    closing.push(app.close);
  }
  const [a, b] = [version('old-1', 'v1'), version('old-2', 'v1')];
  const c = version('new-1', 'v2');
  return {
    split: { policy: halves, instances: { a, b, c } },
    shifted: { policy: halves, instances: { a, c } },
    plain: { policy: { sticky: { cookie: 'V', to: 'version' } }, instances: { a, c, d: addresses.get('new-2') ?? '' } },
    heavy: {
      policy: { sticky },
      instances: { a: version('old-1', 'v1', { weight: 240 }), b: version('old-2', 'v1', { weight: 80 }), c },
    },
    down: { policy: halves, instances: { a, b: down('v1'), c: down('v2'), d: down('v1') } },
    canary: {
      policy: { ...halves, canary: { version: 'v2', header: { name: 'X-Canary', value: 'on' } } },
      instances: { a, c },
    },
  };
});

type Answer = { readonly app: string; readonly cookie: string | undefined };

async function ask(host: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { status, body, headers: sent } = await served.ask(host, { headers });
  expect(status, body).toBe(200);
  return { app: body, cookie: sent['set-cookie']?.[0] };
}

/** What a client with the cookie of a version gets for so many requests. */
async function answers(host: string, of: string, requests = 40, more: Record<string, string> = {}) {
  const counts = new Map<string, number>();
  const cookies = new Set<string>();
  for (let i = 0; i < requests; i += 1) {
    const { app, cookie } = await ask(host, { cookie: `x=y; V=${of}`, ...more });
    counts.set(app, (counts.get(app) ?? 0) + 1);
    if (cookie !== undefined) cookies.add(cookie);
  }
  return { apps: [...counts.keys()].sort(), counts, cookies: [...cookies] };
}
const isDown = async (host: string, id: string) =>
  (await served.balancer.command(`show servers state ${host}`))[0]?.includes(` ${id} 127.0.0.1 0 `) === true;

describe('a cookie to the version', () => {
  test('says which version answered the first request', async () => {
    const { app, cookie } = await ask('split');
    const of = app.startsWith('old') ? 'v1' : 'v2';
    expect(cookie).toBe(`V=${of}; path=/; HttpOnly; Secure; SameSite=Lax`);
    expect((await served.ask('split')).headers['cache-control']).toBe('private');
    const plain = (await ask('plain', { cookie: 'V=v3' })).cookie;
    if (plain !== undefined) expect(plain).toMatch(/^V=v[12]; path=\/; HttpOnly$/);
  });

  test('leads to all instances of the version, and is not set again', async () => {
    expect(await answers('split', 'v1')).toMatchObject({ apps: ['old-1', 'old-2'], cookies: [] });
    expect(await answers('split', 'v2')).toMatchObject({ apps: ['new-1'], cookies: [] });
  });

  test('leads to instances as often as their weights say', async () => {
    const { counts } = await answers('heavy', 'v1', 300);
    expect(counts.get('old-1')).toBeGreaterThan(180);
    expect(counts.get('old-2')).toBeGreaterThan(35);
  });

  test('with a version that nobody has, or nonsense, does not count', async () => {
    for (const value of ['v9', 'v1/0', '@of/a', '@canary', '../v1', '', 'v'.repeat(500)]) {
      const { apps } = await answers('split', value, 30);
      expect(apps, value).toEqual(['new-1', 'old-1', 'old-2']);
    }
  });

  test('is replaced while no instance of the version is up, and finds one that is up', async () => {
    await until('the checks have failed', async () => {
      const all = await Promise.all(['b', 'c', 'd'].map((id) => isDown('down', id)));
      return all.every(Boolean);
    });
    expect(await answers('down', 'v1')).toMatchObject({ apps: ['old-1'], cookies: [] });
    const { apps, cookies } = await answers('down', 'v2');
    expect(apps).toEqual(['old-1']);
    expect(cookies).toEqual(['V=v1; path=/; HttpOnly; Secure; SameSite=Lax']);
  });

  test('counts while the split gives the version a share, however small', async () => {
    const { balancer } = served;
    const change = async (split: object) => {
      balancer.change({ 'services/shifted': JSON.stringify({ ...halves, split }) });
      await balancer.applied();
    };
    const reloads = await balancer.metric('reloads_total');
    await change({ v1: 1, v2: 99 });
    expect(await answers('shifted', 'v1')).toMatchObject({ apps: ['old-1'], cookies: [] });
    await change({ v1: 0, v2: 100 });
    const after = await answers('shifted', 'v1');
    expect(after.apps).toEqual(['new-1']);
    expect(after.cookies).toEqual(['V=v2; path=/; HttpOnly; Secure; SameSite=Lax']);
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });

  test('follows the instances that join and drain without a reload', async () => {
    const { balancer } = served;
    const reloads = await balancer.metric('reloads_total');
    balancer.change({ 'instances/split/d': JSON.stringify(version('old-3', 'v1')) });
    balancer.change({ 'instances/split/a': JSON.stringify(version('old-1', 'v1', { state: 'draining' })) });
    await balancer.applied();
    await until('it joined', async () => (await answers('split', 'v1')).apps.join() === 'old-2,old-3');
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });

  test('does not change with a request of the canary', async () => {
    expect(await answers('canary', 'v1', 10)).toMatchObject({ apps: ['old-1'], cookies: [] });
    expect(await answers('canary', 'v1', 10, { 'x-canary': 'on' })).toMatchObject({ apps: ['new-1'], cookies: [] });
  });
});
