import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';

/** A client that keeps one connection of HTTP/1.1. Gives the answer, and fails when the connection is closed instead. */
function keepAlive(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return (host: string) =>
    new Promise<string>((resolve, reject) => {
      get({ port, host: '127.0.0.1', agent, headers: { host, 'x-forwarded-for': '10.9.8.7' } }, (response) => {
        let body = '';
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.once('end', () => resolve(`${response.statusCode} ${body}`));
      }).on('error', reject);
    });
}

/** A client of HTTP/2. It opens another session when HAProxy ends its own (GOAWAY), as each client must. */
function http2(port: number) {
  let session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  return (host: string) =>
    new Promise<string>((resolve, reject) => {
      if (session.closed || session.destroyed) session = connect(`http://127.0.0.1:${port}`);
      const request = session.request({ ':authority': host });
      let [status, body] = [0, ''];
      request.on('response', (headers) => {
        status = headers[':status'] ?? 0;
      });
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => resolve(`${status} ${body}`));
      request.on('error', reject);
    });
}

test('a client that was idle over a reload gets the routes and servers of now', async () => {
  const name = (text: string) =>
    startApp(text, (request, response) => response.end(`${text} ${request.headers['x-forwarded-for']}`));
  const [before, after] = [await name('before'), await name('after')];
  onTestFinished(async () => {
    await Promise.all([before.close(), after.close()]);
  });
  const balancer = await startOwnBalancer();
  balancer.snapshot({ 'instances/web/a': before.address });
  await balancer.balancer.start();
  await balancer.applied();
  const clients = [keepAlive, keepAlive, http2, http2].map((open) => open(balancer.port));
  for (const ask of clients) expect(await ask('web')).toBe('200 before 127.0.0.1');

  const policy = JSON.stringify({ check: { kind: 'http', path: '/other' } });
  balancer.change({ 'services/web': policy, 'services/new': policy, 'instances/new/a': after.address });
  await balancer.applied();
  expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(1);
  balancer.change({ 'instances/web/a': undefined, 'instances/web/b': after.address });
  await balancer.applied();
  await before.close();
  await until('the old worker passes requests on', () =>
    balancer.lines.some((line) => line.includes('old-worker-passes-on')),
  );
  const answers = await Promise.all(clients.map((ask, i) => ask(i % 2 === 0 ? 'web' : 'new')));
  expect(answers).toEqual(clients.map(() => '200 after 127.0.0.1'));
});

test('a client that was idle over a reload may wait for an answer as long as the policy says', async () => {
  const shipped = await readFile(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
  const templates = await mkdtemp(join(tmpdir(), 'pm-templates-'));
  const impatient = shipped.replace('    timeout server 60s\n', '    timeout server 500ms\n');
  expect(impatient).not.toBe(shipped);
  await writeFile(join(templates, 'haproxy.cfg.mustache'), impatient);
  const slow = await startApp('slow', async (request, response) => {
    if (request.headers.host !== 'web') await pause(1500);
    response.end('slow');
  });
  onTestFinished(async () => {
    await Promise.all([slow.close(), rm(templates, { recursive: true })]);
  });
  const balancer = await startOwnBalancer({ templates });
  const policy = (timeouts: object) => JSON.stringify({ hosts: ['web', 'late'], timeouts });
  const brief = JSON.stringify({ timeouts: { server: '1s' } });
  balancer.snapshot({
    ...{ 'instances/web/a': slow.address, 'services/web': policy({ server: '20s' }) },
    ...{ 'instances/brief/a': slow.address, 'services/brief': brief },
  });
  await balancer.balancer.start();
  await balancer.applied();
  const ask = keepAlive(balancer.port);
  expect(await ask('web')).toBe('200 slow');

  balancer.change({ 'services/web': policy({ server: '30s' }) });
  await until('the old worker passes requests on', () =>
    balancer.lines.some((line) => line.includes('old-worker-passes-on')),
  );
  expect(await ask('late')).toBe('200 slow');
  // The timeouts of the policy are those of the worker that serves now.
  expect(await ask('brief')).toMatch(/^504 /);
});
