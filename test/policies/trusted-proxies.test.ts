import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Cidr } from '../../src/model/address.ts';
import { ask, exchange } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { type Asked, askEcho, startEcho } from '../support/echo.ts';
import { startNginx } from '../support/nginx.ts';
import { issuePem } from '../support/pem.ts';
import { serveAll } from '../support/policies.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { logged, reloadingPolicy } from '../support/serving.ts';
import { startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

/** An HTTP application that answers with the first line of each connection, which is the PROXY header. */
async function startTold() {
  return startTcpEcho((socket) =>
    socket.once('data', (bytes: Buffer) => {
      const [line = ''] = bytes.toString().split('\r\n');
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${line.length}\r\nConnection: close\r\n\r\n${line}`);
    }),
  );
}

/** The status of one request over HTTPS to the service that redirects to it. */
const statusOverTls = (from: string, headers: Readonly<Record<string, string>> = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const to = { port: https, host: '127.0.0.1', localAddress: from, servername: 'secure', rejectUnauthorized: false };
    get({ ...to, headers: { host: 'secure', ...headers }, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    }).on('error', reject);
  });

const [https = 0] = await freePorts(1);
const dir = await mkdtemp(join(tmpdir(), 'pm-trusted-'));
afterAll(() => rm(dir, { recursive: true, force: true }));
await issuePem(dir, 'secure');
await writeFile(join(dir, 'crt-list'), `${join(dir, 'secure.pem')}\n`);

let told: Awaited<ReturnType<typeof startTold>>;
afterAll(() => told.close());

const served = serveAll(
  async () => {
    const [echo, other] = await Promise.all([startEcho('a'), startEcho('b')]);
    told = await startTold();
    const a = { a: echo.address };
    const both = { ...a, b: other.address };
    return {
      web: { policy: { hosts: ['*'] }, instances: a },
      inside: { policy: { access: { deny: ['198.51.100.0/24', '2001:db8::/32'] } }, instances: a },
      rated: { policy: { rateLimit: { requests: 1, per: '1h' } }, instances: a },
      hashed: { policy: { balance: 'source' }, instances: both },
      secure: { policy: { https: 'redirect' }, instances: a },
      behind: { policy: { proxyProtocol: 'v1' }, instances: { a: told.address } },
    };
  },
  () => ({
    baseSettings: {
      trustedProxies: ['127.0.0.2', '127.0.3.0/24', '2001:db8:f::/48'] as Cidr[],
      accessLog: true,
      https: { bind: `127.0.0.1:${https}`, list: join(dir, 'crt-list'), http3: false },
    },
  }),
);

const proxy = '127.0.0.2';

/** What a server gets from a client of these X-Forwarded-For, through a trusted proxy. */
const through = (forwardedFor: string | undefined, more: Readonly<Record<string, string>> = {}, from = proxy) => {
  const headers = { ...(forwardedFor === undefined ? {} : { 'X-Forwarded-For': forwardedFor }), ...more };
  return askEcho(served.balancer.port, { host: 'web', from, headers });
};

describe('the client of a request', () => {
  test.each([
    ['the address that the proxy names', '203.0.113.7', '203.0.113.7'],
    ['not the one that it sent to the proxy itself', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['the one behind two proxies', '198.51.100.1, 203.0.113.7, 127.0.3.1', '203.0.113.7'],
    ['the one behind five proxies', '9.9.9.9, 203.0.113.7, 127.0.3.4, 127.0.3.3, 127.0.3.2, 127.0.3.1', '203.0.113.7'],
    ['no further than five', '203.0.113.7, 127.0.3.5, 127.0.3.4, 127.0.3.3, 127.0.3.2, 127.0.3.1', '127.0.3.5'],
    ['an IPv6 address', '2001:db8:1::7', '2001:db8:1::7'],
    ['an IPv6 address behind an IPv6 proxy', '198.51.100.1, 2001:db8:1::7,2001:db8:f::1', '2001:db8:1::7'],
    ['an address with its port', '203.0.113.7:4711', '203.0.113.7'],
    ['the proxy, if only a part of the value is in brackets', '[2001:db8:1::7]x', proxy],
    ['the proxy, if no address is in the brackets', '[proxy]', proxy],
    ['the proxy, if it names none', undefined, proxy],
    ['the proxy, if it names no address', 'unknown', proxy],
    ['the proxy, if what it adds is no address', '203.0.113.7, x', proxy],
    ['the proxy, if it names nothing', '203.0.113.7,', proxy],
    ['the last proxy before something that is no address', '203.0.113.7, x, 127.0.3.1', '127.0.3.1'],
    ['the first proxy, if there are only proxies', '127.0.3.2, 127.0.3.1', '127.0.3.2'],
  ])('is %s', async (_, forwardedFor, client) => {
    const { headers } = await through(forwardedFor);
    const given = forwardedFor === undefined ? [] : [forwardedFor];
    expect(headers).toMatchObject({ 'x-real-ip': client, 'x-forwarded-for': [...given, proxy].join(', ') });
  });

  test.each([
    ['[2001:db8:1::7]', '2001:db8:1::7'],
    ['[2001:db8:1::7]:4711', '2001:db8:1::7'],
    ['198.51.100.1, [2001:db8:1::7]:4711, [2001:db8:f::1]:80', '198.51.100.1,2001:db8:1::7,2001:db8:f::1'],
  ])('is an IPv6 address in brackets, which servers get without them: %s', async (forwardedFor, written) => {
    const { headers } = await through(forwardedFor);
    expect(headers).toMatchObject({ 'x-real-ip': '2001:db8:1::7', 'x-forwarded-for': `${written}, ${proxy}` });
    const denied = await exchange(served.balancer.port, {
      host: 'inside',
      from: proxy,
      headers: { 'X-Forwarded-For': forwardedFor },
    });
    expect(denied.status).toBe(403);
  });

  test('is in several headers as in one', async () => {
    const headers = { 'X-Forwarded-For': ['198.51.100.1, 203.0.113.7', '127.0.3.1'] };
    const { headers: got } = await askEcho(served.balancer.port, { host: 'web', from: proxy, headers });
    expect(got['x-real-ip']).toBe('203.0.113.7');
  });

  test('is the one of each request of a connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: proxy });
    onTestFinished(() => agent.destroy());
    const clients = [];
    for (const client of ['203.0.113.1', '203.0.113.2', undefined, '203.0.113.3']) {
      const headers: Record<string, string> = client === undefined ? {} : { 'X-Forwarded-For': client };
      const { body } = await exchange(served.balancer.port, { host: 'web', from: proxy, agent, headers });
      clients.push((JSON.parse(body) as Asked).headers['x-real-ip']);
    }
    expect(clients).toEqual(['203.0.113.1', '203.0.113.2', proxy, '203.0.113.3']);
  });

  test('is the connection, for everybody else', async () => {
    const { headers } = await through('203.0.113.7', { 'X-Real-IP': '203.0.113.7' }, '127.0.0.9');
    expect(headers).toMatchObject({ 'x-forwarded-for': '127.0.0.9' });
    expect(headers).not.toHaveProperty('x-real-ip');
  });
});

test('headers of a trusted proxy are kept, but not those that a client can send through it', async () => {
  const kept = {
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'shop.example.com',
    'x-forwarded-port': '443',
    'x-forwarded-prefix': '/p',
    forwarded: 'for=203.0.113.7',
    'x-request-id': 'theirs',
  };
  const forged = { X_Forwarded_Proto: 'http', 'X-Forwarded_Host': 'x', 'X-Real_IP': 'x', 'X.Request-Id': 'x' };
  const { headers } = await through('203.0.113.7', { ...kept, ...forged, 'X-Real-IP': '198.51.100.1' });
  const { host, connection, ...others } = headers;
  expect(others).toEqual({ ...kept, 'x-forwarded-for': `203.0.113.7, ${proxy}`, 'x-real-ip': '203.0.113.7' });
});

describe('behind a trusted proxy,', () => {
  const from = proxy;
  const asks = (host: string, client: string, more: Readonly<Record<string, string>> = {}) =>
    served.ask(host, { from, headers: { 'X-Forwarded-For': client, ...more } });

  test('access is for the client', async () => {
    expect((await asks('inside', '203.0.113.7')).status).toBe(200);
    expect((await asks('inside', '198.51.100.7')).status).toBe(403);
    expect((await asks('inside', '2001:db8::7')).status).toBe(403);
    expect((await asks('inside', '203.0.113.7, 198.51.100.7, 127.0.3.1')).status).toBe(403);
  });

  test('a rate limit counts each client', async () => {
    const statuses = [];
    for (const client of ['203.0.113.1', '203.0.113.1', '203.0.113.2', '198.51.100.9, 203.0.113.2'])
      statuses.push((await asks('rated', client)).status);
    expect(statuses).toEqual([200, 429, 200, 429]);
  });

  test('the source that a hash is made of is the client', async () => {
    const servers = new Set<string>();
    for (let i = 1; i <= 24; i += 1) {
      const names = [];
      for (let again = 0; again < 2; again += 1) {
        const { body } = await asks('hashed', `203.0.113.${i}`);
        names.push((JSON.parse(body) as Asked).name);
      }
      expect(names[1]).toBe(names[0]);
      servers.add(names[0] ?? '');
    }
    expect([...servers].sort()).toEqual(['a', 'b']);
  });

  test('the access log has the client and the id of the proxy', async () => {
    await asks('web', '198.51.100.1, 203.0.113.77', { 'X-Request-Id': 'id-of-proxy' });
    const line = await until('the line', () => served.balancer.lines.find((one) => one.includes('id-of-proxy')));
    expect(line).toContain('203.0.113.77');
    expect(line).not.toContain('198.51.100.1');
    const { headers } = await through('203.0.113.78', {}, '127.0.0.9');
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    const own = headers['x-request-id'] ?? '';
    await until('the line', () => served.balancer.lines.find((one) => one.includes(own) && one.includes('127.0.0.9')));
  });

  test('https: redirect is for a client without TLS', async () => {
    expect((await asks('secure', '203.0.113.7', { 'X-Forwarded-Proto': 'https' })).status).toBe(200);
    expect((await asks('secure', '203.0.113.7', { 'X-Forwarded-Proto': 'http' })).status).toBe(308);
  });

  test('https: redirect is for a client without TLS, also if the proxy itself uses TLS', async () => {
    expect(await statusOverTls(from)).toBe(200);
    expect(await statusOverTls(from, { 'X-Forwarded-Proto': 'https' })).toBe(200);
    expect(await statusOverTls(from, { 'X-Forwarded-Proto': 'http' })).toBe(308);
    expect(await statusOverTls('127.0.0.9', { 'X-Forwarded-Proto': 'http' }), 'nobody believes it').toBe(200);
  });

  test('a server learns of the client by the PROXY protocol', async () => {
    expect((await asks('behind', '203.0.113.7')).body).toMatch(/^PROXY TCP4 203\.0\.113\.7 /);
    expect((await asks('behind', '203.0.113.8')).body).toMatch(/^PROXY TCP4 203\.0\.113\.8 /);
  });
});

describe('a real proxy in front', () => {
  test('nginx adds its client to what the client sent', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-nginx-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const nginx = await startNginx(dir);
    const port = await freePort();
    await writeFile(
      nginx.conf,
      `server { listen 127.0.0.1:${port}; location / {
        proxy_bind 127.0.3.9; proxy_pass http://127.0.0.1:${served.balancer.port};
        proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } }\n`,
    );
    await execa('sh', ['-c', nginx.reload], { env: nginx.env });
    await until('nginx serves', async () => (await ask(port, 'web')).status === 200);
    const { headers } = await askEcho(port, {
      host: 'web',
      from: '127.0.0.77',
      headers: { 'X-Forwarded-For': '203.0.113.7' },
    });
    expect(headers).toMatchObject({
      'x-forwarded-for': '203.0.113.7, 127.0.0.77, 127.0.3.9',
      'x-real-ip': '127.0.0.77',
    });
  });

  test('HAProxy adds a header of its own', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-front-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const port = await freePort();
    await writeFile(
      join(dir, 'front.cfg'),
      `defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option forwardfor
listen front
    bind 127.0.0.1:${port}
    server b 127.0.0.1:${served.balancer.port} source 127.0.3.8\n`,
    );
    const front = execa(haproxyBin, ['-db', '-f', join(dir, 'front.cfg')], { reject: false });
    onTestFinished(async () => {
      front.kill('SIGTERM');
      await front;
    });
    await until('it serves', async () => (await ask(port, 'web').catch(() => undefined))?.status === 200);
    const { headers } = await askEcho(port, {
      host: 'web',
      from: '127.0.0.78',
      headers: { 'X-Forwarded-For': '203.0.113.7, 127.0.3.1' },
    });
    expect(headers).toMatchObject({ 'x-real-ip': '127.0.0.78' });
  });
});

test('a worker that a reload replaced passes the client on', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: proxy });
  onTestFinished(() => agent.destroy());
  const headers = { 'X-Forwarded-For': '198.51.100.1, 203.0.113.7, 127.0.3.1' };
  const kept = async () => {
    const { status, body } = await exchange(served.balancer.port, { host: 'web', from: proxy, agent, headers });
    return status === 200 ? (JSON.parse(body) as Asked).headers : { status };
  };
  const expected = { 'x-forwarded-for': `${headers['X-Forwarded-For']}, ${proxy}`, 'x-real-ip': '203.0.113.7' };
  expect(await kept()).toMatchObject(expected);
  served.balancer.change({ 'services/new': reloadingPolicy(1), 'instances/new/a': told.address });
  await served.balancer.applied();
  await until('the old worker passes requests on', () => logged(served.balancer, 'old-worker-passes-on').length > 0);
  expect(await kept()).toMatchObject(expected);
});
