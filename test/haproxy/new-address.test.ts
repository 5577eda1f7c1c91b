import { Agent, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';

/** A client with one connection, which it keeps. */
function startClient(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return (path = '/') =>
    new Promise<string>((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, agent, headers: { host: 'web' } }, (answer) => {
        let body = '';
        answer.on('data', (text) => {
          body += text;
        });
        answer.on('end', () => resolve(`${answer.statusCode} ${body}`));
      });
      asked.on('error', reject).end();
    });
}

test.each([
  ['a new address', false],
  ['the return of an instance at a new address', true],
])('once %s is acknowledged no request goes to the former one, and none fails', async (_, leaves) => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let waiting = 0;
  const former = await startApp('former', (message, response) => {
    if (message.url === '/slow') waiting += 1;
    void (message.url === '/slow' ? released : Promise.resolve()).then(() => response.end('former'));
  });
  const later = await startApp('later');
  onTestFinished(async () => {
    await Promise.all([former.close(), later.close()]);
  });
  const balancer = await startOwnBalancer();
  balancer.snapshot({ 'instances/web/a': former.address });
  await balancer.balancer.start();
  await balancer.applied();
  const clients = Array.from({ length: 6 }, () => startClient(balancer.port));
  for (const client of clients) expect(await client()).toBe('200 former');
  const open = clients.map((client) => client('/slow'));
  await until('all are open', () => waiting === clients.length);
  if (leaves) {
    balancer.change({ 'instances/web/a': undefined });
    await balancer.applied();
  }
  balancer.change({ 'instances/web/a': later.address });
  await balancer.applied();
  expect(await startClient(balancer.port)()).toBe('200 later');
  release();
  expect(new Set(await Promise.all(open))).toEqual(new Set(['200 former']));
  for (let i = 0; i < 3; i += 1) {
    expect(new Set(await Promise.all(clients.map((client) => client())))).toEqual(new Set(['200 later']));
  }
});

test('a new address gets no request before its check passes', async () => {
  let health = 503;
  let requests = 0;
  const sick = await startApp('sick', (message, response) => {
    if (message.url !== '/health') requests += 1;
    response.writeHead(message.url === '/health' ? health : 200).end('sick');
  });
  const [well, former] = [await startApp('well'), await startApp('former')];
  onTestFinished(async () => {
    await Promise.all([well, sick, former].map(({ close }) => close()));
  });
  const balancer = await startOwnBalancer();
  // No check of HAProxy itself decides anything in this test.
  const policy = JSON.stringify({ check: { kind: 'http', path: '/health', interval: '60s', fall: 1 } });
  balancer.snapshot({ 'services/web': policy, 'instances/web/a': well.address, 'instances/web/b': former.address });
  await balancer.balancer.start();
  await balancer.applied();
  balancer.change({ 'instances/web/b': sick.address });
  await balancer.applied();
  for (let i = 0; i < 20; i += 1) expect((await ask(balancer.port, 'web')).body).toBe('well');
  expect(requests).toBe(0);
  health = 200;
  const isUp = async () => (await balancer.link.inspect()).servers.get('web')?.get('b')?.up;
  await until('its check passed', async () => (await isUp()) === true);
  const bodies = new Set<string>();
  for (let i = 0; i < 20; i += 1) bodies.add((await ask(balancer.port, 'web')).body);
  expect(bodies).toContain('sick');
  expect(balancer.lines.filter((line) => line.includes('server-down'))).toEqual([]);
  expect(await balancer.metric('drift_total')).toBe(0);
});
