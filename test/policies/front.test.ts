import { createHash } from 'node:crypto';
import { connect } from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import type { Cidr } from '../../src/model/cidr.ts';
import { startApp } from '../support/app.ts';
import { type Asked, askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { askRaw, sendRaw } from '../support/raw-request.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** The same services behind each frame. */
async function services() {
  const apps = await Promise.all(['site', 'admin', 'api', 'wild', 'guarded'].map(startEcho));
  const upgrading = await startApp('upgrading', (_, response) => response.end('plain'));
  upgrading.server.on('upgrade', ({ headers }, socket) => {
    const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${headers.upgrade}`];
    socket.end([...lines, `Sec-WebSocket-Accept: ${accept}`, '', 'hello'].join('\r\n'));
  });
  closing.push(upgrading.close, ...apps.map(({ close }) => close));
  const at = (name: string) => ({ a: apps.find((app) => app.name === name)?.address ?? '' });
  return {
    site: { policy: { hosts: ['shop.example.com', '*'] }, instances: at('site') },
    admin: { policy: { hosts: ['shop.example.com'], paths: ['/admin'] }, instances: at('admin') },
    api: {
      policy: { hosts: ['shop.example.com'], paths: ['/api', '/old//v1'], strip: true },
      instances: at('api'),
    },
    wild: { policy: { hosts: ['*.wild.example'] }, instances: at('wild') },
    guarded: { policy: { access: { deny: ['127.0.0.9'] } }, instances: at('guarded') },
    upgrading: { instances: { a: upgrading.address } },
    owning: { policy: { headers: { request: { set: { 'X-Own': '1' } } } }, instances: at('site') },
  };
}

const served = serveAll(services);
const asWritten = serveAll(services, () => ({ baseSettings: { normalizePaths: false } }));
const trusting = serveAll(services, () => ({
  baseSettings: { trustedProxies: ['127.0.0.2', '127.0.3.0/24'] as Cidr[] },
}));

/** What the application that got a request says about it, over HTTP/1.1. */
async function whoGets(target: string, host = 'shop.example.com', port = served.balancer.port) {
  const { status, body } = await askRaw(port, target, [`Host: ${host}`]);
  if (status !== 200) return { name: status, url: '' };
  const { name, url } = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) as Asked;
  return { name, url };
}

/** The same over HTTP/2, where the client chooses the pseudo-headers. */
function whoGetsH2(path: string, authority = 'shop.example.com'): Promise<{ name: string | number; url: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    session.on('error', reject);
    const stream = session.request({ ':path': path, ':authority': authority });
    let status = 0;
    let body = '';
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('data', (part: Buffer) => {
      body += part.toString();
    });
    stream.on('error', (error) => {
      session.destroy();
      // HAProxy may reset the stream of a malformed request instead of answering it.
      if ('code' in error && error.code === 'ERR_HTTP2_STREAM_ERROR') resolve({ name: 400, url: '' });
      else reject(error);
    });
    stream.on('end', () => {
      session.close();
      resolve(status === 200 ? (JSON.parse(body) as Asked) : { name: status, url: '' });
    });
    stream.setTimeout(10_000, () => stream.destroy(new Error('no answer within 10 s')));
  });
}

describe('another way to write a path leads to the same service', () => {
  test.each([
    ['/admin', 'admin', '/admin'],
    ['/%61dmin', 'admin', '/admin'],
    ['/%61%64min/%78?q=%61%2f..//', 'admin', '/admin/x?q=%61%2f..//'],
    ['//admin', 'admin', '//admin'],
    ['///admin//x', 'admin', '///admin//x'],
    ['/%61dmin?', 'admin', '/admin?'],
    ['/./admin', 'admin', '/admin'],
    ['/x/../admin', 'admin', '/admin'],
    ['/x/%2e%2e/admin', 'admin', '/admin'],
    ['/x/.%2E/admin/.', 'admin', '/admin/'],
    ['/../../admin', 'admin', '/admin'],
    ['/admin/../x', 'site', '/x'],
    ['/admin/..', 'site', '/'],
    ['/x//../admin', 'site', '/x/admin'],
    ['/api//users', 'api', '/users'],
    ['//api/users?a=//', 'api', '/users?a=//'],
    ['/%61pi/users', 'api', '/users'],
    ['/old//v1/users', 'api', '/users'],
    ['/old/v1/users', 'api', '/users'],
    ['/admin;x', 'admin', '/admin;x'],
    ['/admin;', 'admin', '/admin;'],
    ['/admin;a=1/x;b?c=;', 'admin', '/admin;a=1/x;b?c=;'],
    ['/%61dmin;x=%61', 'admin', '/admin;x=a'],
    ['/;x/admin', 'admin', '/;x/admin'],
    ['//;x//admin', 'admin', '//;x//admin'],
    ['/api;x/users', 'api', '/users'],
    ['/;jsessionid=1', 'site', '/;jsessionid=1'],
    ['/admin%3bx', 'site', '/admin%3bx'],
  ])('%s', async (target, name, url) => {
    expect(await whoGets(target)).toEqual({ name, url });
    expect(await whoGetsH2(target)).toMatchObject({ name, url });
  });

  test('but an encoded slash is part of a segment, and arrives as it was written', async () => {
    expect(await whoGets('/%2fadmin')).toEqual({ name: 'site', url: '/%2fadmin' });
    expect(await whoGets('/x%2F..%2fadmin?a=%2e')).toEqual({ name: 'site', url: '/x%2F..%2fadmin?a=%2e' });
  });

  test('but one that only some servers take for another path is answered with 400', async () => {
    for (const target of ['/x/..;/admin', '/x/..;a=1/admin', '/.;x/admin', '/x/%2e.;/admin', '/x/..;']) {
      expect([target, (await whoGets(target)).name]).toEqual([target, 400]);
      expect([target, (await whoGetsH2(target)).name]).toEqual([target, 400]);
    }
    for (const target of ['/admin\\', '/x\\..\\admin', '\\admin', '/x/..\\admin', '/%61dmin\\x']) {
      expect([target, (await whoGets(target)).name]).toEqual([target, 400]);
    }
    expect(await whoGets('/admin?a=\\&b=..;')).toEqual({ name: 'admin', url: '/admin?a=\\&b=..;' });
  });

  test('but a % that encodes nothing is answered with 400 in a path, and left alone in a query', async () => {
    for (const target of ['/%61dmin/%', '/%zz', '/%6']) expect((await whoGets(target)).name).toBe(400);
    for (const target of ['/x?100%', '/%20x?100%&a=%41'])
      expect(await whoGets(target)).toEqual({ name: 'site', url: target });
  });

  test('and a path without anything of that arrives as it was written', async () => {
    const target = '/a%20b/c;d=1/e~f/http:/x/.well-known/...?x=%41&y=/../..';
    expect(await whoGets(target)).toEqual({ name: 'site', url: target });
  });

  test('unless normalize-paths is off: then paths are matched as they are written', async () => {
    expect(await whoGets('/%61dmin', undefined, asWritten.balancer.port)).toEqual({ name: 'site', url: '/%61dmin' });
    expect(await whoGets('/x/../admin', undefined, asWritten.balancer.port)).toMatchObject({ name: 'site' });
    expect(await whoGets('/admin', undefined, asWritten.balancer.port)).toMatchObject({ name: 'admin' });
    expect(await whoGets('/old//v1/x', undefined, asWritten.balancer.port)).toMatchObject({ name: 'site' });
    expect(await whoGets('/admin;x', undefined, asWritten.balancer.port)).toMatchObject({ name: 'site' });
  });
});

describe('a host', () => {
  test.each(['SHOP.example.com', 'shop.example.com.', 'shop.example.com:8080', 'Shop.Example.com.:80'])(
    'is understood as %s',
    async (host) => {
      expect(await whoGets('/admin', host)).toMatchObject({ name: 'admin' });
      expect(await whoGetsH2('/admin', host)).toMatchObject({ name: 'admin' });
    },
  );

  test('may be an address, one of IPv6 too', async () => {
    for (const host of ['[::1]:80', '[2001:DB8::1]', '127.0.0.1:80']) {
      expect(await whoGets('/x', host)).toMatchObject({ name: 'site' });
    }
  });

  test.each([
    'shop.example.com/admin',
    'shop.example.com/admin:80',
    'shop.example.com/',
    '/',
    '*',
    '*.wild.example',
    'a b.wild.example',
    'a,b.wild.example',
    'shop.example.com,b',
    'shop.example.com,',
    'x@a.wild.example',
    '%61.wild.example',
    'a#b',
    'a?b',
    '[::1',
    'a.wild.example:80@b.example',
    'a.wild.example:@b.example',
    'a.wild.example:80,b.example',
    'a.wild.example:<b>',
    '[::1]:80@b.example',
  ])('that nothing can have, %s, is answered with 400', async (host) => {
    expect((await whoGets('/admin', host)).name).toBe(400);
    expect((await whoGetsH2('/admin', host)).name).toBe(400);
  });

  test('has at most 255 characters', async () => {
    const longest = `${'a'.repeat(242)}.wild.example`;
    for (const [host, name] of [
      [longest, 'wild'],
      [`${longest}:80`, 'wild'],
      [longest.toUpperCase(), 'wild'],
      [`a${longest}`, 400],
      [`a${longest}:80`, 400],
      [`A${longest}`, 400],
      [`${'a'.repeat(8200)}.wild.example`, 400],
      [`[${'1'.repeat(256)}]`, 400],
    ] as const) {
      expect([host, (await whoGets('/x', host)).name]).toEqual([host, name]);
      expect([host, (await whoGetsH2('/x', host)).name]).toEqual([host, name]);
    }
  });

  test('is not continued by a path with dots', async () => {
    for (const path of ['/a.wild.example', '/b/a.wild.example/c'])
      for (const host of ['dotless', 'shop.example.com'])
        expect(await whoGets(path, host)).toMatchObject({ name: 'site' });
    expect(await whoGets('/x.y', 'a.wild.example')).toMatchObject({ name: 'wild' });
    expect(await whoGets('/x.y', 'upgrading-not.example')).toMatchObject({ name: 'site' });
  });

  test('may be missing in HTTP/1.0', async () => {
    expect(await sendRaw(served.balancer.port, 'GET / HTTP/1.0\r\n\r\n')).toContain('"name":"site"');
  });
});

describe('what a server would understand in another way', () => {
  test('CONNECT, does not reach one, and what follows it goes by the rules', async () => {
    const after = 'GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n';
    for (const [target, version, host] of [
      ['shop.example.com:80', '1.1', 'Host: shop.example.com:80\r\n'],
      ['shop.example.com:80', '1.0', ''],
      ['127.0.0.1:80', '1.1', 'Host: 127.0.0.1:80\r\n'],
    ] as const) {
      const answer = await sendRaw(
        served.balancer.port,
        `CONNECT ${target} HTTP/${version}\r\n${host}\r\n${after}`,
        /\}\}|^HTTP\/1.0/,
      );
      expect([target, answer]).toEqual([target, expect.stringMatching(/^HTTP\/1\.[01] 405 /)]);
      if (version === '1.1') expect(answer).toContain('"x-forwarded-for":"127.0.0.1"');
    }
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'shop.example.com:80' });
    expect(await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))).toBe(405);
    session.destroy();
  });

  test('an absolute URI, is answered with 400 if no Host header says the same host', async () => {
    const ask = (lines: string) => sendRaw(served.balancer.port, `${lines}\r\n\r\n`, /none|bad|Bad|"name"/);
    for (const lines of [
      'GET http://shop.example.com/admin HTTP/1.0',
      'GET http://shop.example.com/admin HTTP/1.1',
      'GET http://shop.example.com/admin HTTP/1.1\r\nHost: x',
    ])
      expect([lines, await ask(lines)]).toEqual([lines, expect.stringMatching(/^HTTP\/1\.[01] 400 /)]);
    expect(await ask('GET http://shop.example.com/admin HTTP/1.1\r\nHost: shop.example.com')).toContain(
      '"name":"admin"',
    );
    expect(await ask('OPTIONS * HTTP/1.0')).toContain('"name":"site"');
  });
});

describe('an upgrade', () => {
  const upgrade = (value: string, more: readonly string[] = [], connection = 'Upgrade') =>
    sendRaw(
      served.balancer.port,
      [
        'GET / HTTP/1.1',
        'Host: upgrading',
        `Connection: ${connection}${more.length > 0 ? ', HTTP2-Settings' : ''}`,
        `Upgrade: ${value}`,
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13',
        ...more,
        '',
        '',
      ].join('\r\n'),
      /\r\n\r\n(hello|plain)/,
    );

  test.each([
    'h2c',
    'H2C',
    'websocket, h2c',
    'h2c-14',
    'TLS/1.0',
    'HTTP/2.0',
    '"h2c"',
    '"websocket, h2c"',
    ';h2c',
    "'h2c'",
  ])('to another HTTP, %s, does not reach the server', async (value) => {
    const answer = await upgrade(value, ['HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']);
    // From 3.0, HAProxy itself takes h2c out of such a list and leaves the websocket.
    expect(answer).not.toMatch(/^upgrade: (?!websocket\r)/im);
    expect(answer).toMatch(/plain|upgrade: websocket\r/);
  });

  test.each(['Upgrade', 'keep-alive, upgrade', 'upgrade, X-Forwarded-For'])(
    'to a websocket goes on working with Connection: %s',
    async (connection) => {
      const answer = await upgrade('websocket', [], connection);
      expect(answer).toContain('101 Switching Protocols');
      expect(answer).toContain('hello');
    },
  );

  test('to a websocket goes on working over HTTP/2', async () => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      ':scheme': 'http',
      ':authority': 'upgrading',
      'sec-websocket-version': '13',
    });
    const status = new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])));
    let body = '';
    for await (const part of stream) body += part;
    session.close();
    expect([await status, body]).toEqual([200, 'hello']);
  });
});

describe('what a proxy says about a client', () => {
  const claims = {
    Forwarded: 'for=10.0.0.1',
    'X-Forwarded-For': '10.0.0.1',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'other.example',
    'X-Forwarded-Prefix': '/p',
    X_Forwarded_For: '10.0.0.1',
    'X-Forwarded_Host': 'other.example',
    'X-Forwarded.For': '10.0.0.1',
    'X.Real~IP': '10.0.0.1',
    'X-Real-IP': '10.0.0.1',
    'X-Request-Id': 'theirs',
    'HTTP2-Settings': 'AAMAAABk',
  };

  test('is removed when a client says it', async () => {
    const { headers } = await askEcho(served.balancer.port, { host: 'x', headers: { ...claims, 'X-Other': 'kept' } });
    const { host, connection, ...others } = headers;
    expect(others).toEqual({ 'x-forwarded-for': '127.0.0.1', 'x-other': 'kept' });
  });

  test.each([
    ['X-Forwarded-For', ''],
    ['close, x-forwarded-for,x-own', ''],
    ['keep-alive,X-Forwarded-For', 'Connection: X-Own\r\n'],
    ['TE, X-Own', 'Upgrade: h2c\r\n'],
  ])('cannot be dropped by a server, nor what a policy says, because of Connection: %s', async (value, more) => {
    const lines = ['GET / HTTP/1.1', 'Host: owning', `Connection: ${value}`].join('\r\n');
    const answer = await sendRaw(served.balancer.port, `${lines}\r\n${more}\r\n`, /\}\}/);
    const { headers } = JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '{}') as Asked;
    expect(headers).toEqual({ host: 'owning', 'x-forwarded-for': '127.0.0.1', 'x-own': '1' });
  });

  test('is kept when one of the trusted proxies says it, whose address is added', async () => {
    for (const from of ['127.0.0.2', '127.0.3.7']) {
      const { headers } = await askEcho(trusting.balancer.port, { host: 'x', from, headers: claims });
      expect(headers).toMatchObject({
        forwarded: 'for=10.0.0.1',
        'x-forwarded-for': `10.0.0.1, ${from}`,
        'x-forwarded-proto': 'https',
        'x-request-id': 'theirs',
      });
    }
    const { headers } = await askEcho(trusting.balancer.port, { host: 'x', from: '127.0.0.3', headers: claims });
    expect(headers['x-forwarded-for']).toBe('127.0.0.3');
    expect(headers).not.toHaveProperty('forwarded');
  });
});
