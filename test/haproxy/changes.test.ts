import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readVersion } from '../../src/haproxy/check.ts';
import type { ServiceName } from '../../src/model/name.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin, startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

describe('changes in the registry', () => {
  let balancer: TestBalancer;
  let apps: Awaited<ReturnType<typeof startApp>>[];

  beforeEach(async () => {
    balancer = await startBalancer();
    apps = await Promise.all(['a', 'b', 'c'].map((name) => startApp(name)));
  });
  afterEach(async (context) => {
    if (context.task.result?.state === 'fail')
      process.stderr.write(balancer.lines.join('') + (await balancer.config()));
    await balancer.stop();
    await Promise.all(apps.map((app) => app.close()));
  });

  const address = (index: number): string => apps[index]?.address ?? '';
  const answers = async (host: string, count = 12): Promise<string[]> => {
    const bodies = new Set<string>();
    for (let i = 0; i < count; i += 1) bodies.add((await ask(balancer.port, host)).body);
    return [...bodies].sort();
  };
  /** A server that comes beside others serves from its first check on, which may pass after its change is applied. */
  const serve = (host: string, ...names: readonly string[]) =>
    until(`${names.join()} serve ${host}`, async () => (await answers(host)).join() === names.join());

  test('an instance joins and leaves a running service without a reload', async () => {
    balancer.snapshot({ 'instances/web/a': address(0) });
    await balancer.balancer.start();
    await balancer.applied();
    expect(await answers('web')).toEqual(['a']);

    balancer.change({ 'instances/web/b': address(1), 'instances/web/c': address(2) });
    await balancer.applied();
    await serve('web.example.com', 'a', 'b', 'c');

    balancer.change({ 'instances/web/a': undefined });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b', 'c']);
    expect(await balancer.metric('reloads_total')).toBe(0);
    expect(await balancer.metric('steps_total', { outcome: 'refused' })).toBe(0);
  });

  test('two instances whose numbers are equal both serve, and so does the one that stays', async () => {
    // Found by trying: see catalog/numbers.
    const [first, second] = ['web-57938', 'web-68781'];
    balancer.snapshot({ [`instances/web/${second}`]: address(1) });
    await balancer.balancer.start();
    balancer.change({ [`instances/web/${first}`]: address(0) });
    await serve('web', 'a', 'b');
    const lines = async () => (await balancer.config()).match(/server web-\d+ .* id \d+/g)?.length;
    await until('one has the number', async () => (await lines()) === 1);

    balancer.change({ [`instances/web/${first}`]: undefined });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b']);
    await until('the other has it', async () => (await lines()) === 1);
  });

  test('weight, state and address follow the registry; an address takes a reload only where HAProxy would go on to the former one', async () => {
    balancer.snapshot({ 'instances/web/a': address(0), 'instances/web/b': address(1) });
    await balancer.balancer.start();
    const [host, port] = address(0).split(':');
    const json = (fields: object) => JSON.stringify({ address: host, port: Number(port), ...fields });

    balancer.change({ 'instances/web/a': json({ state: 'draining' }) });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b']);
    balancer.change({ 'instances/web/a': json({ weight: 256 }) });
    await balancer.applied();
    expect(await answers('web')).toEqual(['a', 'b']);
    balancer.change({ 'instances/web/a': json({ state: 'maintenance' }) });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b']);
    balancer.change({ 'instances/web/a': address(2) });
    await balancer.applied();
    await serve('web', 'b', 'c');
    const { keepsFormerAddress } = balancer.link.abilities;
    expect(await balancer.metric('reloads_total')).toBe(keepsFormerAddress === true ? 1 : 0);
  });

  test('hosts and paths lead to their services, the most exact first', async () => {
    balancer.snapshot({
      'instances/shop/a': address(0),
      'instances/api/b': address(1),
      'instances/rest/c': address(2),
      'services/shop': JSON.stringify({ hosts: ['shop.example.com', '*.shop.example.com'] }),
      'services/api': JSON.stringify({ hosts: ['shop.example.com'], paths: ['/api', '/v2/'] }),
      'services/rest': JSON.stringify({ hosts: ['*'] }),
    });
    await balancer.balancer.start();
    const body = async (host: string, path: string) => (await ask(balancer.port, host, path)).body;
    expect(await body('shop.example.com', '/')).toBe('a');
    expect(await body('SHOP.example.com:80', '/apiary')).toBe('a');
    expect(await body('shop.example.com', '/api')).toBe('b');
    expect(await body('shop.example.com', '/api/items?q=1')).toBe('b');
    expect(await body('shop.example.com', '/v2/x')).toBe('b');
    expect(await body('eu.shop.example.com', '/api')).toBe('a');
    expect(await body('elsewhere', '/')).toBe('c');
  });

  test('a policy that changes is one reload, and routes alone are none', async () => {
    balancer.snapshot({ 'instances/web/a': address(0), 'services/web': '{"hosts":["one.example.com"]}' });
    await balancer.balancer.start();
    balancer.change({ 'services/web': '{"hosts":["two.example.com"]}' });
    await balancer.applied();
    expect(await answers('two.example.com')).toEqual(['a']);
    expect((await ask(balancer.port, 'one.example.com')).status).toBe(404);
    expect(await balancer.metric('reloads_total')).toBe(0);

    balancer.change({ 'services/web': '{"hosts":["two.example.com"],"balance":"leastconn"}' });
    await balancer.applied();
    expect(await balancer.config()).toContain('balance leastconn');
    expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(1);
  });

  test('a malformed entry is refused alone and the last good one goes on serving', async () => {
    balancer.snapshot({ 'instances/web/a': address(0) });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/a': '10.0.0.1:80;shutdown', 'instances/web/b': address(1) });
    await balancer.applied();
    await serve('web', 'a', 'b');
    const { rejected } = balancer.balancer.status().catalog;
    expect(rejected.get('instances/web/a')).toMatchObject({ lastGoodServes: true });
    balancer.change({ 'instances/web/a': undefined });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b']);
    expect(balancer.balancer.status().catalog.rejected.size).toBe(0);
  });

  test('many instances that are lost at once are held while they answer, and one that leaves is not', async () => {
    const keys = ['a', 'b', 'c'].map((name, i) => [`instances/web/${name}`, address(i)] as const);
    const dead = ['x', 'y'].map((name) => [`instances/web/${name}`, '127.0.0.1:1'] as const);
    const all = Object.fromEntries([...keys, ...dead]);
    balancer.snapshot({ ...all, 'services/web': '{"balance":"roundrobin","check":{"kind":"tcp","interval":"50ms"}}' });
    await balancer.balancer.start();
    await serve('web', 'a', 'b', 'c');

    balancer.change(Object.fromEntries(Object.keys(all).map((key) => [key, undefined])));
    await until('the dead are let go of', () => balancer.guarding.status()[0]?.instances.length === 3);
    expect(await answers('web')).toEqual(['a', 'b', 'c']);

    balancer.change({ 'instances/web/a': address(0) });
    balancer.change({ 'instances/web/a': JSON.stringify({ address: address(0), state: 'draining' }) });
    balancer.change({ 'instances/web/a': undefined });
    await balancer.applied();
    expect(await answers('web')).toEqual(['b', 'c']);

    balancer.guarding.release('web' as ServiceName);
    await until('nothing is held', async () => (await ask(balancer.port, 'web')).status >= 500);
    expect(await balancer.metric('guard_held_instances')).toBe(0);
  });

  test('the requests of a service that the guard lets go of whole are led on', async () => {
    const keys = ['a', 'b', 'c', 'd'].map((name) => `instances/web/${name}`);
    const all = Object.fromEntries(keys.map((key) => [key, address(0)]));
    balancer.snapshot({ ...all, 'services/rest': '{"hosts":["*"]}', 'instances/rest/a': address(1) });
    await balancer.balancer.start();
    balancer.change(Object.fromEntries(keys.map((key) => [key, undefined])));
    await balancer.applied();
    expect(await answers('web')).toEqual(['a']);
    balancer.guarding.release('web' as ServiceName);
    await serve('web', 'b');
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('a service may have a guard of its own, or none, and that is no reload', async () => {
    const keys = (service: string) =>
      ['a', 'b', 'c'].map((id, i) => [`instances/${service}/${id}`, address(i)] as const);
    const all = [...keys('web'), ...keys('api')];
    balancer.snapshot(Object.fromEntries(all));
    await balancer.balancer.start();
    balancer.change({
      'services/web': '{"guard":{"share":"60%","minimum":3,"hold":"1h"}}',
      'services/api': '{"guard":"off"}',
    });
    await balancer.applied();

    balancer.change(Object.fromEntries(all.filter(([key]) => !key.endsWith('/a')).map(([key]) => [key, undefined])));
    await balancer.applied();
    expect(await answers('web')).toEqual(['a', 'b', 'c']);
    expect(await answers('api')).toEqual(['a']);
    expect(balancer.guarding.status()).toMatchObject([{ service: 'web', instances: ['b', 'c'], lost: 2, of: 3 }]);
    expect(balancer.guarding.status()[0]?.endsInMs).toBeGreaterThan(3_000_000);

    balancer.change({ 'services/web': '{"guard":"off"}' });
    await balancer.applied();
    expect(await answers('web')).toEqual(['a']);
    expect(await balancer.metric('guard_held_instances')).toBe(0);
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('the file on disk says what runs soon after a change', async () => {
    balancer.snapshot({ 'instances/web/a': address(0) });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/b': address(1), 'instances/web/a': undefined });
    await until('the file has b and not a', async () => {
      const config = await balancer.config();
      return config.includes(`server b ${address(1)}`) && !config.includes('server a ');
    });
  });

  test('a server with an open request leaves when that is done, and may come back before', async () => {
    let finish: (() => void) | undefined;
    const slow = await startApp('slow', (_, res) => {
      finish = () => res.end('slow');
    });
    apps.push(slow);
    // Round robin, because the open request would keep leastconn away.
    balancer.snapshot({ 'instances/web/s': slow.address, 'services/web': '{"balance":"roundrobin"}' });
    await balancer.balancer.start();
    const open = ask(balancer.port, 'web', '/', { deadlineMs: 60_000 });
    await until('the request is open', () => finish !== undefined);
    balancer.change({ 'instances/web/s': undefined, 'instances/web/a': address(0) });
    await balancer.applied();
    expect(await balancer.metric('lingering_servers')).toBe(1);
    expect(await answers('web')).toEqual(['a']);

    balancer.change({ 'instances/web/s': address(1) });
    await balancer.applied();
    await serve('web', 'a', 'b');
    finish?.();
    expect((await open).body).toBe('slow');
    // Before 3.0, requests may go on to the former address until a reload.
    const reloads = /^2\./.test(await readVersion(haproxyBin)) ? 1 : 0;
    await until('it was reloaded', async () => (await balancer.metric('reloads_total')) === reloads);
  });
});
