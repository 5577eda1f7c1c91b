import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { RuntimeLink } from '../../src/haproxy/runtime-link.ts';
import { plainName } from '../../src/haproxy/worker-marks.ts';
import type { RouteTarget } from '../../src/model/route-target.ts';
import { startApp } from '../support/app.ts';
import { serveAll } from '../support/policies.ts';
import { freePort } from '../support/ports.ts';
import { openTcp, startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));
let port = 0;
let address = '';

const served = serveAll(async () => {
  const app = await startApp('app');
  const echo = await startTcpEcho();
  closing.push(app.close, echo.close);
  port = await freePort();
  address = app.address;
  return {
    web: { instances: { a: app.address } },
    other: { instances: { a: app.address } },
    db: { policy: { mode: 'tcp', port }, instances: { a: echo.address } },
  };
});

const { ask } = served;

describe('a service in maintenance', () => {
  test('answers every request with a page that says so, until it is over, and no reload is needed', async () => {
    const { balancer } = served;
    balancer.change({ 'services/web': '{"maintenance":true}' });
    await balancer.applied();
    const { status, headers, body } = await ask('web', { path: '/anything' });
    expect({ status, type: headers['content-type'], again: headers['retry-after'] }).toEqual({
      status: 503,
      type: 'text/html',
      again: '60',
    });
    expect(body).toContain('<title>Back soon</title>');
    expect(headers['cache-control']).toBe('no-store');
    expect((await ask('other')).status).toBe(200);

    balancer.change({ 'services/web': '{}' });
    await balancer.applied();
    expect((await ask('web')).status).toBe(200);
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('closes connections when it is a tcp one', async () => {
    const { balancer } = served;
    balancer.change({ 'services/db': JSON.stringify({ mode: 'tcp', port, maintenance: true }) });
    await balancer.applied();
    const refused = openTcp(port);
    refused.send('hello');
    await refused.closed;
    expect(refused.received()).toBe('');
    balancer.change({ 'services/db': JSON.stringify({ mode: 'tcp', port }) });
    await balancer.applied();
    const connection = openTcp(port);
    connection.send('hello');
    await until('it answers', () => connection.received() === 'hello');
    await connection.close();
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('is so by the word of an operator, too', async () => {
    const { balancer } = served;
    balancer.change({ 'overrides/web/*': '{"kind":"maintenance"}', 'overrides/db/*': '{"kind":"maintenance"}' });
    await balancer.applied();
    const { status, headers, body } = await ask('web');
    expect([status, headers['retry-after'], body.includes('<title>Back soon</title>')]).toEqual([503, '60', true]);
    const refused = openTcp(port);
    refused.send('hello');
    await refused.closed;
    expect(refused.received()).toBe('');
    // An override of its own counts before the service's.
    balancer.change({ 'overrides/web/a': '{"kind":"weight","weight":100}' });
    await balancer.applied();
    expect((await ask('web')).status).toBe(200);
    balancer.change({ 'overrides/web/a': undefined, 'overrides/web/*': undefined, 'overrides/db/*': undefined });
    await balancer.applied();
    expect((await ask('web')).status).toBe(200);
    expect(await balancer.metric('reloads_total')).toBe(0);
    await until('it is over on disk', async () => !(await balancer.routes()).includes('SERVICE:'));
  });

  const mark = async () => (await served.balancer.command(`get var ${plainName}`)).join('');

  test('has HAProxy look for states only while a service has one', async () => {
    const { balancer } = served;
    expect(await mark()).toContain('value=<1>');
    balancer.change({ 'services/web': '{"maintenance":true}' });
    await balancer.applied();
    expect(await mark()).toContain('value=<0>');
    balancer.change({ 'services/web': '{}' });
    await balancer.applied();
    expect(await mark()).toContain('value=<1>');
  });

  test('is so at once where another pointsman told HAProxy that no service is', async () => {
    const { paths, haproxy } = served.balancer;
    expect(await mark()).toContain('value=<1>');
    const { workerPid = 0 } = (await haproxy.processes()) ?? {};
    const [socket, onLost] = [paths.runtimeSocket, () => undefined];
    const link = new RuntimeLink({ ...paths, socket, onLost, logger: pino({ level: 'silent' }) });
    await link.connect(workerPid, pause);
    try {
      await link.execute([{ kind: 'add-route', route: 'SERVICE:other', target: 'maintenance' as RouteTarget }]);
      expect((await ask('other')).status).toBe(503);
      await link.execute([{ kind: 'remove-route', route: 'SERVICE:other' }]);
      expect((await ask('other')).status).toBe(200);
    } finally {
      link.close();
    }
  });

  test('stays so over a restart by somebody else', async () => {
    const { balancer } = served;
    balancer.change({ 'services/web': '{"maintenance":true}' });
    await balancer.applied();
    await until('it is on disk', async () => (await balancer.routes()).includes('SERVICE:web maintenance\n'));
    await balancer.haproxy.reload();
    expect((await ask('web')).status).toBe(503);
  });
});

test('a service whose only policy is rejected answers with the page, until the policy is corrected or deleted', async () => {
  const { balancer } = served;
  balancer.change({ 'services/new': '{"acces":{"allow":["10.0.0.0/8"]}}', 'instances/new/a': address });
  await balancer.applied();
  // HAProxy 3.4 adds the service before its routes.
  await until('it is routed', async () => (await ask('new')).status !== 404);
  const { status, body } = await ask('new');
  expect([status, body.includes('<title>Back soon</title>')]).toEqual([503, true]);
  expect(balancer.balancer.status().rejected).toMatchObject([{ key: 'services/new', lastGoodServes: false }]);

  balancer.change({ 'services/new': '{"access":{"allow":["10.0.0.0/8"]}}' });
  await balancer.applied();
  expect((await ask('new')).status).toBe(403);
  // The last good policy serves.
  balancer.change({ 'services/new': '{' });
  await balancer.applied();
  expect((await ask('new')).status).toBe(403);
  balancer.change({ 'services/new': undefined });
  await balancer.applied();
  expect((await ask('new')).status).toBe(200);
  balancer.change({ 'services/new': undefined, 'instances/new/a': undefined });
  await balancer.applied();
});
