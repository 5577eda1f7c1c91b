import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { readVersion } from '../../src/haproxy/check.ts';
import { startApp } from '../support/app.ts';
import type { Exchange } from '../support/ask.ts';
import { isNightly } from '../support/nightly.ts';
import { serveAll } from '../support/policies.ts';
import { freePort } from '../support/ports.ts';
import { openTcp, startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));
const addresses = new Map<string, string>();
let port = 0;

const served = serveAll(async () => {
  for (const name of ['old', 'new', 'other']) {
    const app = await startApp(name);
    addresses.set(name, app.address);
    closing.push(app.close);
  }
  const echo = await startTcpEcho();
  closing.push(echo.close);
  port = await freePort();
  return {
    web: { instances: { old: addresses.get('old') ?? '' } },
    other: { instances: { other: addresses.get('other') ?? '' } },
    db: { policy: { mode: 'tcp', port }, instances: { a: echo.address } },
  };
});

const { ask } = served;
const pauseOf = (ms: number) =>
  JSON.stringify({
    kind: 'pause',
    at: new Date().toISOString(),
    until: new Date(Date.now() + ms).toISOString(),
  });
/** Sends requests and collects the answers. */
function askMany(count: number) {
  const answered: Exchange[] = [];
  const all = Promise.all(
    Array.from({ length: count }, async () => {
      answered.push(await ask('web'));
    }),
  );
  return { answered, all };
}
/** How many requests HAProxy has taken at a frontend and not answered. */
async function open(frontend: string): Promise<number> {
  const [stat = ''] = await served.balancer.command('show stat');
  const [heading = '', ...rows] = stat.split('\n').map((row) => row.replace(/^# /, ''));
  const column = heading.split(',').indexOf('scur');
  return Number(rows.find((row) => row.startsWith(`${frontend},FRONTEND`))?.split(',')[column] ?? 0);
}

function openSession(to: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${to}`);
  session.on('error', () => undefined);
  return new Promise((resolve) => session.once('remoteSettings', () => resolve(session)));
}

/** The headers of the answer to a request. Rejects if the session ends first. */
function askWaiting(session: ClientHttp2Session): Promise<IncomingHttpHeaders> {
  const stream = session.request({ ':authority': 'web' });
  return new Promise((resolve, reject) => {
    stream
      .on('response', resolve)
      .on('error', reject)
      .on('close', () => reject(new Error('no answer')));
  });
}

describe('a paused service', () => {
  test('lets requests wait while everything behind it is swapped, and then serves them all', async () => {
    const { balancer } = served;
    balancer.change({ 'overrides/web/*': pauseOf(60_000) });
    await balancer.applied();
    const requests = askMany(20);
    await until('they wait', async () => (await open('_http')) >= 20);

    balancer.change({ 'instances/web/old': undefined });
    await balancer.applied();
    expect((await ask('other')).body).toBe('other');
    balancer.change({ 'instances/web/new': addresses.get('new') });
    await balancer.applied();
    expect(requests.answered).toEqual([]);

    balancer.change({ 'overrides/web/*': undefined });
    await requests.all;
    expect(requests.answered.map(({ status, body }) => `${status} ${body}`)).toEqual(Array(20).fill('200 new'));
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  // It keeps two cores busy, so newer versions run it with `npm run test:nightly` alone.
  const isBusy = process.env['HAPROXY_BIN'] !== undefined && !isNightly;
  test.skipIf(isBusy)(
    'answers 503 at once when 10,000 requests wait for it, and counts no client that went away',
    async () => {
      const { balancer } = served;
      balancer.change({ 'overrides/web/*': pauseOf(60_000) });
      await balancer.applied();
      const sessions = await Promise.all(Array.from({ length: 120 }, () => openSession(balancer.port)));
      const all = sessions.flatMap((session) => Array.from({ length: 100 }, () => askWaiting(session)));
      // Vitest would print each of the 12,000 errors of an AggregateError.
      const first = await Promise.any(all).catch(({ errors: [error] }: AggregateError) => Promise.reject(error));
      expect(first).toMatchObject({ ':status': 503, 'retry-after': '5' });
      expect((await ask('other')).body).toBe('other');
      for (const session of sessions) session.destroy();
      await Promise.allSettled(all);
      // Before 3.4, HAProxy sees at the end of the pause that a client went away.
      const version = await readVersion(process.env['HAPROXY_BIN'] ?? 'haproxy');
      if (/^(2\.|3\.[0-2]\.)/.test(version)) balancer.change({ 'overrides/web/*': undefined });
      await until('their requests are gone', async () => (await open('_http')) <= 1);

      balancer.change({ 'overrides/web/*': pauseOf(60_000) });
      await balancer.applied();
      const requests = askMany(3);
      await until('others wait', async () => (await open('_http')) >= 3);
      balancer.change({ 'overrides/web/*': undefined });
      await requests.all;
      expect(requests.answered.map(({ status }) => status)).toEqual([200, 200, 200]);
    },
  );

  test('goes on by itself when the pause is over', async () => {
    const { balancer } = served;
    balancer.change({ 'overrides/web/*': pauseOf(1000) });
    await balancer.applied();
    expect((await ask('web')).status).toBe(200);
    await until('the state is gone', async () => !(await balancer.routes()).includes('SERVICE:web'));
    expect((await ask('web')).status).toBe(200);
  });

  test('lets nobody wait longer than it was to last, even if nobody ends it', async () => {
    const { balancer } = served;
    // The state of a service, from a balancer that has ended.
    await balancer.command(`add map ${balancer.paths.routesMap} SERVICE:other pause/500`);
    expect((await ask('other')).body).toBe('other');
    await balancer.command(`del map ${balancer.paths.routesMap} SERVICE:other`);
  });

  test('lets connections wait when it is a tcp one', async () => {
    const { balancer } = served;
    balancer.change({ 'overrides/db/*': pauseOf(60_000) });
    await balancer.applied();
    const connection = openTcp(port);
    connection.send('hello');
    await until('it waits', async () => (await open('_tcp-db')) === 1);
    expect(connection.received()).toBe('');
    balancer.change({ 'overrides/db/*': undefined });
    await balancer.applied();
    await until('it answers', () => connection.received() === 'hello');
    await connection.close();
  });
});
