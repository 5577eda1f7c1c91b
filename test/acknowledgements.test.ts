import { Agent, request } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { reloadMaster } from '../src/haproxy/master.ts';
import { startApp } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { until } from './support/until.ts';

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

describe.each(['folder', 'etcd'] as const)('a balancer, with the registry in %s,', (kind) => {
  test('acknowledges what it serves, and what it refuses', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers(kind);
    const app = await startPatientApp('a');
    const balancer = await balancerNamed('lb-1');
    for (const name of ['one', 'two', 'three', 'four']) {
      // A new service takes a reload where HAProxy is older than 3.4; the acknowledgement has to wait for it.
      const revision = await registry.write(`instances/${name}/a`, instance(app.address));
      await acknowledged('lb-1', `revision ${revision}`, (said) => said.revision >= revision);
      expect(await balancer.ask(name)).toEqual({ status: 200, body: 'a' });
    }
    const removed = (await registry.remove('instances/two/a')) ?? 0n;
    await acknowledged('lb-1', `revision ${removed}`, (said) => said.revision >= removed);
    expect((await balancer.ask('two')).status).toBe(404);

    const nothing = await registry.write('keys/colour', 'blue');
    await acknowledged('lb-1', `revision ${nothing}`, (said) => said.revision >= nothing);

    const bad = await registry.write('instances/one/b', '10.0.0.1:http');
    const said = await acknowledged('lb-1', `revision ${bad}`, (one) => one.revision >= bad);
    expect(said.refusals).toEqual([{ key: 'instances/one/b', reason: '"http" is not a port: 1 to 65535' }]);
    expect(said).toMatchObject({ version: expect.any(String), haproxyVersion: expect.stringMatching(/^\d+\.\d+/) });
  });

  test('counts the open requests of what drains', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers(kind);
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
});

describe('a balancer', () => {
  test('counts what a worker from before a reload holds, or may still get', async () => {
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

  test('takes its key along when it ends, and has it back at once after a crash', async () => {
    const { registry, fleet, balancerNamed, acknowledged } = await startBalancers('etcd');
    await registry.write('instances/web/a', instance('127.0.0.1:1'));
    const balancer = await balancerNamed('lb-1');
    const before = await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    balancer.process.kill('SIGKILL');
    await balancer.process.ended;
    const second = balancer.again();
    await second.logged('haproxy-adopted');
    const revision = await registry.write('instances/web/b', instance('127.0.0.1:2'));
    const after = await acknowledged('lb-1', `revision ${revision}`, (said) => said.revision >= revision);
    expect(after.owner).toBe(before.owner);
    expect(second.log.filter(({ event }) => event === 'not-acknowledging')).toEqual([]);
    second.kill('SIGTERM');
    await second.ended;
    await until('its key is gone', () => !fleet.view.balancers.has('lb-1'), { deadlineMs: 3000 });
  });

  test('that has the id of another says so, serves, and acknowledges when the other one is gone', async () => {
    const { registry, balancerNamed, acknowledged } = await startBalancers('etcd');
    const app = await startPatientApp('a');
    await registry.write('instances/web/a', instance(app.address));
    const first = await balancerNamed('lb-1');
    const said = await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    const second = await balancerNamed('lb-1');
    const told = await second.process.logged('not-acknowledging');
    expect(told).toMatchObject({ level: 'error', msg: expect.stringContaining('another balancer calls itself lb-1') });
    expect((await second.ask('web')).status).toBe(200);
    expect((await second.status()).acknowledging).toMatchObject({ state: 'refused' });
    expect((await first.status()).acknowledging).toMatchObject({ state: 'acknowledging' });
    first.process.kill('SIGTERM');
    await first.process.ended;
    await acknowledged('lb-1', 'under another owner', ({ owner }) => owner !== said.owner);
    expect((await second.status()).acknowledging).toMatchObject({ state: 'acknowledging' });
  });

  test('that serves from its disk while the registry is away acknowledges when it is back', async () => {
    const { registry, etcd, fleet, balancerNamed, acknowledged } = await startBalancers('etcd');
    await registry.write('instances/web/a', instance('127.0.0.1:1'));
    const balancer = await balancerNamed('lb-1');
    await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    balancer.process.kill('SIGTERM');
    await balancer.process.ended;
    await until('its key is gone', () => !fleet.view.balancers.has('lb-1'));
    const [member] = etcd?.members ?? [];
    await member?.stop();
    const second = balancer.again();
    await second.logged('serving');
    expect((await balancer.status()).acknowledging).toEqual({ state: 'nothing-yet' });
    member?.start();
    await acknowledged('lb-1', 'anything', ({ revision }) => revision > 0n);
    expect((await balancer.status()).acknowledging).toMatchObject({ state: 'acknowledging' });
  });
});
