import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { startBalancer, type TestBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

// A new service costs one reload, and none where HAProxy can add a backend (3.4): `HAPROXY_BIN` decides which is tested.
describe('a service', () => {
  let balancer: TestBalancer;
  let app: Awaited<ReturnType<typeof startApp>>;
  /** Requests to `/slow` are answered when the test says so. */
  let answerSlow: (() => void)[];

  beforeEach(async () => {
    answerSlow = [];
    app = await startApp('app', (request, response) => {
      if (request.url === '/slow') answerSlow.push(() => response.end('slow'));
      else response.end(request.headers.host);
    });
    balancer = await startBalancer();
    balancer.snapshot({ 'instances/first/a': app.address });
    await balancer.balancer.start();
  });
  afterEach(async (context) => {
    if (context.task.result?.state === 'fail')
      process.stderr.write(balancer.lines.join('') + (await balancer.config()));
    await balancer.stop();
    await app.close();
  });

  /** How many reloads `count` of something cost that only `add backend` does without. */
  const orNone = (count: number): number => (balancer.link.abilities.addBackend ? 0 : count);
  const reloads = () => balancer.metric('reloads_total');
  const runs = async (name: string) => (await balancer.link.inspect()).backends.has(name);
  const inFile = async (name: string) => new RegExp(`^backend ${name} `, 'm').test(await balancer.config());

  test('of a known policy comes and is served', async () => {
    balancer.change({ 'instances/next/a': app.address });
    await balancer.applied();
    expect(await ask(balancer.port, 'next')).toEqual({ status: 200, body: 'next' });
    expect(await reloads()).toBe(orNone(1));
    expect(await balancer.metric('steps_total', { outcome: 'refused' })).toBe(0);
    await until('the file has it', () => inFile('next'));
    // A reload by anybody else now brings back the same.
    await balancer.haproxy.reload();
    expect(await ask(balancer.port, 'next')).toEqual({ status: 200, body: 'next' });
  });

  test('of a policy that another one has needs no reload of its own', async () => {
    const policy = JSON.stringify({ balance: 'leastconn', check: { kind: 'http', path: '/health' } });
    balancer.change({ 'services/one': policy, 'instances/one/a': app.address });
    await balancer.applied();
    expect(await reloads()).toBe(1);
    balancer.change({ 'services/two': policy, 'instances/two/a': app.address });
    await balancer.applied();
    expect(await reloads()).toBe(1 + orNone(1));
    expect((await ask(balancer.port, 'two')).body).toBe('two');
  });

  test('comes and goes and comes back', async () => {
    for (let round = 0; round < 3; round += 1) {
      balancer.change({ 'instances/next/a': app.address });
      await balancer.applied();
      expect((await ask(balancer.port, 'next')).status).toBe(200);
      balancer.change({ 'instances/next/a': undefined });
      await balancer.applied();
      expect((await ask(balancer.port, 'next')).status).toBe(404);
    }
    expect(await reloads()).toBe(orNone(1));
    if (!balancer.link.abilities.addBackend) return;
    await until('HAProxy has forgotten it', async () => !(await runs('next')));
    await until('the file has, too', async () => !(await inFile('next')));
    balancer.change({ 'instances/next/a': app.address });
    await balancer.applied();
    expect((await ask(balancer.port, 'next')).status).toBe(200);
    expect(await reloads()).toBe(0);
  });

  test('that leaves finishes its open requests first', async () => {
    balancer.change({ 'instances/next/a': app.address });
    await balancer.applied();
    const slow = ask(balancer.port, 'next', '/slow');
    await until('the request is open', () => answerSlow.length === 1);
    balancer.change({ 'instances/next/a': undefined });
    await balancer.applied();
    expect((await ask(balancer.port, 'next')).status).toBe(404);
    await until('it was tried to delete the server', () => balancer.lines.join('').includes('"outcome":"lingers"'));
    expect(await runs('next')).toBe(true);

    balancer.change({ 'instances/next/a': app.address });
    await balancer.applied();
    expect((await ask(balancer.port, 'next')).status).toBe(200);
    balancer.change({ 'instances/next/a': undefined });
    await balancer.applied();
    for (const answer of answerSlow) answer();
    expect(await slow).toEqual({ status: 200, body: 'slow' });
    // Some versions cannot delete it safely.
    if (balancer.link.abilities.deletes)
      await until('nothing lingers', async () => (await balancer.metric('lingering_servers')) === 0);
    expect(await reloads()).toBe(orNone(1));
  });

  test('that HAProxy has already, unknown to us, is taken over by a reload', async () => {
    if (!balancer.link.abilities.addBackend) return;
    const { policies } = balancer.balancer.status().served;
    const [answer = ''] = await balancer.command(`add backend stray from ${[...policies.keys()][0]} mode http`);
    expect(answer.trim()).toBe('New backend registered.');
    balancer.change({ 'instances/stray/a': app.address });
    await balancer.applied();
    expect((await ask(balancer.port, 'stray')).status).toBe(200);
    expect(await reloads()).toBe(1);
  });
});
