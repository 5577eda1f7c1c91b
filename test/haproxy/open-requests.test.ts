import { Agent, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { reloadMaster } from '../../src/haproxy/master.ts';
import { startApp } from '../support/app.ts';
import { startBalancers } from '../support/balancers.ts';
import { until } from '../support/until.ts';

/** An application whose requests stay open until they are let go. */
async function startPatientApp(name: string) {
  const waiting: (() => void)[] = [];
  const app = await startApp(name, (req, res) => {
    if (req.url === '/wait') waiting.push(() => res.end(name));
    else res.end(name);
  });
  onTestFinished(() => app.close());
  return { ...app, waiting };
}

/** A request that nobody waits for yet. */
function begin(port: number, path: string, agent: Agent | false = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers: { host: 'web' }, agent }, (res) => {
      res.resume();
      res.on('end', () => resolve(res.statusCode ?? 0));
    });
    req.on('error', reject);
    req.end();
  });
}

const instance = (address: string, state = 'ready') => JSON.stringify({ address, state });

test('a balancer counts the open requests of what drains', async () => {
  const { registry, balancerNamed, acknowledged } = await startBalancers('folder');
  const [app, other] = [await startPatientApp('a'), await startPatientApp('b')];
  await registry.write('instances/web/a', instance(app.address));
  const balancer = await balancerNamed('lb-1');
  await until('it is served', async () => (await balancer.ask('web')).status === 200);
  const requests = [begin(balancer.http, '/wait'), begin(balancer.http, '/wait')];
  await until('both are open', () => app.waiting.length === 2);
  await registry.write('instances/web/b', instance(other.address));
  const drain = await registry.write('instances/web/a', instance(app.address, 'draining'));
  await acknowledged(
    'lb-1',
    'two open requests',
    ({ revision, draining }) => revision >= drain && draining?.get('web/a') === 2,
  );
  expect((await balancer.ask('web')).body).toBe('b');
  app.waiting.pop()?.();
  await acknowledged('lb-1', 'one open request', ({ draining }) => draining?.get('web/a') === 1);
  app.waiting.pop()?.();
  await acknowledged('lb-1', 'none', ({ draining }) => draining?.get('web/a') === 0);
  expect(await Promise.all(requests)).toEqual([200, 200]);
  const ready = await registry.write('instances/web/a', instance(app.address));
  const said = await acknowledged('lb-1', `revision ${ready}`, ({ revision }) => revision >= ready);
  expect(said.draining?.size).toBe(0);
});
test('a balancer counts what a worker from before a reload holds, or may still get', async () => {
  const { registry, balancerNamed, acknowledged } = await startBalancers('folder');
  const app = await startPatientApp('a');
  const other = await startPatientApp('b');
  await registry.write('services/web', '{"balance":"first","check":{"kind":"none"}}');
  await registry.write('instances/web/a', instance(app.address));
  await registry.write('instances/web/b', instance(other.address));
  const balancer = await balancerNamed('lb-1');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  await until('it is served', async () => (await begin(balancer.http, '/', agent)) === 200);
  const open = begin(balancer.http, '/wait');
  await until('it is open', () => app.waiting.length + other.waiting.length === 1);

  await until('somebody else reloads it', () => reloadMaster(balancer.masterSocket, 10_000));
  for (const [id, { address }] of [
    ['a', app],
    ['b', other],
  ] as const) {
    await registry.write(`instances/web/${id}`, instance(address, 'draining'));
  }
  const busy = app.waiting.length === 1 ? 'web/a' : 'web/b';
  const idle = busy === 'web/a' ? 'web/b' : 'web/a';
  await acknowledged('lb-1', 'the open request', ({ draining }) => draining?.get(busy) === 1);
  await acknowledged('lb-1', 'that more may come', ({ draining }) => draining?.get(idle) === 'unknown');
  agent.destroy();
  await acknowledged('lb-1', 'that none can come', ({ draining }) => draining?.get(idle) === 0);
  [...app.waiting, ...other.waiting].forEach((finish) => void finish());
  await acknowledged('lb-1', 'that all are finished', ({ draining }) => draining?.get(busy) === 0);
  expect(await open).toBe(200);
});

test('a balancer counts many that drain at once', async () => {
  const { registry, balancerNamed, acknowledged } = await startBalancers('folder');
  const app = await startPatientApp('a');
  const ids = Array.from({ length: 60 }, (_, i) => `i-${i}`);
  const put = (state: string) =>
    Promise.all(ids.map((id) => registry.write(`instances/web/${id}`, instance(app.address, state))));
  await registry.write('services/web', '{"check":{"kind":"none"}}');
  await put('ready');
  const balancer = await balancerNamed('lb-1');
  await until('it is served', async () => (await balancer.ask('web')).status === 200);
  const open = begin(balancer.http, '/wait');
  await until('a request is open', () => app.waiting.length === 1);
  const counts = (draining: ReadonlyMap<string, unknown> | undefined) =>
    ids.map((id) => draining?.get(`web/${id}`)).sort();
  await put('draining');
  await acknowledged('lb-1', 'one of all', ({ draining }) => counts(draining).join() === [...ids.slice(1).map(() => 0), 1].join()); // biome-ignore format: one condition
  app.waiting.pop()?.();
  await acknowledged('lb-1', 'none', ({ draining }) => counts(draining).every((count) => count === 0));
  expect(await open).toBe(200);
});
