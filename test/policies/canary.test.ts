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
const byHeader = {
  split: { v1: 100, v2: 0 },
  canary: { version: 'v2', header: { name: 'X-Canary', value: 'on' } },
};
const byCookie = { split: { v1: 100 }, canary: { version: 'v2', cookie: { name: 'canary', value: '1' } } };

const served = serveAll(async () => {
  for (const name of ['old', 'new-1', 'new-2', 'new-3']) {
    const app = await startApp(name);
    addresses.set(name, app.address);
    closing.push(app.close);
  }
  const old = version('old', 'v1');
  const [one, two] = [version('new-1', 'v2'), version('new-2', 'v2')];
  return {
    header: { policy: byHeader, instances: { old, one, two } },
    cookie: { policy: byCookie, instances: { old, one } },
    // Nothing listens at the port 1, and its check says so.
    down: { policy: byHeader, instances: { old, one: { address: '127.0.0.1:1', version: 'v2' }, two } },
    alldown: { policy: byHeader, instances: { old, one: { address: '127.0.0.1:1', version: 'v2' } } },
    none: { policy: byHeader, instances: { old } },
  };
});

/** Which applications answer so many requests, sorted. */
async function answers(host: string, headers: Record<string, string>, requests = 40): Promise<readonly string[]> {
  const found = new Set<string>();
  for (let i = 0; i < requests; i += 1) {
    const { status, body } = await served.ask(host, { headers });
    expect(status, body).toBe(200);
    found.add(body);
  }
  return [...found].sort();
}
const canary = { 'X-Canary': 'on' };

describe('a canary', () => {
  test('gets the requests with its header, on all instances of the version, and no others', async () => {
    expect(await answers('header', canary)).toEqual(['new-1', 'new-2']);
    expect(await answers('header', {})).toEqual(['old']);
    expect(await answers('header', { 'X-Canary': 'off' })).toEqual(['old']);
  });

  test('gets the requests with its cookie', async () => {
    expect(await answers('cookie', { cookie: 'a=b; canary=1' })).toEqual(['new-1']);
    expect(await answers('cookie', { cookie: 'a=b; canary=2' })).toEqual(['old']);
  });

  test('never gives a client an error because an instance of the version is down or absent', async () => {
    const isDown = async (host: string) =>
      (await served.balancer.command(`show servers state ${host}`))[0]?.includes(' one 127.0.0.1 0 ');
    await until(
      'the checks have failed',
      async () => (await isDown('down')) === true && (await isDown('alldown')) === true,
    );
    expect(await answers('down', canary)).toEqual(['new-2']);
    expect(await answers('alldown', canary)).toEqual(['old']);
    expect(await answers('none', canary)).toEqual(['old']);
  });

  test('has the instances that join, and not those that leave, without a reload', async () => {
    const { balancer } = served;
    const reloads = await balancer.metric('reloads_total');
    balancer.change({ 'instances/header/three': JSON.stringify(version('new-3', 'v2')) });
    balancer.change({ 'instances/header/one': JSON.stringify(version('new-1', 'v2', { state: 'draining' })) });
    await until(
      'the third instance answers',
      async () => (await served.ask('header', { headers: canary })).body === 'new-3',
    );
    await until('all agree', async () => (await answers('header', canary)).join() === 'new-2,new-3');
    expect(await answers('header', {})).toEqual(['old']);
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  });
});
