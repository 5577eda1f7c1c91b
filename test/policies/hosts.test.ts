import { connect } from 'node:http2';
import { expect, test } from 'vitest';
import { serveAll } from '../support/policies.ts';
import { sendRaw } from '../support/raw-request.ts';
import { services, whoGets, whoGetsH2 } from './front.ts';

const served = serveAll(services);

test.each(['SHOP.example.com', 'shop.example.com.', 'shop.example.com:8080', 'Shop.Example.com.:80'])(
  'a host is understood as %s',
  async (host) => {
    expect(await whoGets(served.balancer.port, '/admin', host)).toMatchObject({ name: 'admin' });
    expect(await whoGetsH2(served.balancer.port, '/admin', host)).toMatchObject({ name: 'admin' });
  },
);

test('a host may be an address, one of IPv6 too', async () => {
  for (const host of ['[::1]:80', '[2001:DB8::1]', '127.0.0.1:80']) {
    expect(await whoGets(served.balancer.port, '/x', host)).toMatchObject({ name: 'site' });
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
])('a host that nothing can have, %s, is answered with 400', async (host) => {
  expect((await whoGets(served.balancer.port, '/admin', host)).name).toBe(400);
  expect((await whoGetsH2(served.balancer.port, '/admin', host)).name).toBe(400);
});

test('a host has at most 255 characters', async () => {
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
    expect([host, (await whoGets(served.balancer.port, '/x', host)).name]).toEqual([host, name]);
    expect([host, (await whoGetsH2(served.balancer.port, '/x', host)).name]).toEqual([host, name]);
  }
});

test('a host is not continued by a path with dots', async () => {
  for (const path of ['/a.wild.example', '/b/a.wild.example/c'])
    for (const host of ['dotless', 'shop.example.com'])
      expect(await whoGets(served.balancer.port, path, host)).toMatchObject({ name: 'site' });
  expect(await whoGets(served.balancer.port, '/x.y', 'a.wild.example')).toMatchObject({ name: 'wild' });
  expect(await whoGets(served.balancer.port, '/x.y', 'upgrading-not.example')).toMatchObject({ name: 'site' });
});

test('a host may be missing in HTTP/1.0', async () => {
  expect(await sendRaw(served.balancer.port, 'GET / HTTP/1.0\r\n\r\n')).toContain('"name":"site"');
});

test('CONNECT does not reach a server, and the request after it is treated like any other', async () => {
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
  stream.on('error', () => undefined);
  expect(await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])))).toBe(405);
  session.destroy();
});

test('a request with an absolute URI is answered with 400 if no Host header has the same host', async () => {
  const ask = (lines: string) => sendRaw(served.balancer.port, `${lines}\r\n\r\n`, /none|bad|Bad|"name"/);
  for (const lines of [
    'GET http://shop.example.com/admin HTTP/1.0',
    'GET http://shop.example.com/admin HTTP/1.1',
    'GET http://shop.example.com/admin HTTP/1.1\r\nHost: x',
  ])
    expect([lines, await ask(lines)]).toEqual([lines, expect.stringMatching(/^HTTP\/1\.[01] 400 /)]);
  expect(await ask('GET http://shop.example.com/admin HTTP/1.1\r\nHost: shop.example.com')).toContain('"name":"admin"');
  expect(await ask('OPTIONS * HTTP/1.0')).toContain('"name":"site"');
  expect(await ask('GET * HTTP/1.0')).toContain(' 400 ');
  expect(await ask('GET * HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close')).toContain(' 400 ');
});
