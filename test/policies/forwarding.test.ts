import { connect } from 'node:http2';
import { expect, test } from 'vitest';
import type { Cidr } from '../../src/model/address.ts';
import { type Asked, askEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { sendRaw } from '../support/raw-request.ts';
import { services } from './front.ts';

const served = serveAll(services);
const trusting = serveAll(services, () => ({
  baseSettings: { trustedProxies: ['127.0.0.2', '127.0.3.0/24'] as Cidr[] },
}));

/** Headers in which a proxy describes its client. */
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

test('headers that only a proxy may send are removed from the request of a client', async () => {
  const { headers } = await askEcho(served.balancer.port, { host: 'x', headers: { ...claims, 'X-Other': 'kept' } });
  const { host, connection, ...others } = headers;
  expect(others).toEqual({ 'x-forwarded-for': '127.0.0.1', 'x-other': 'kept' });
});

test.each([
  ['X-Forwarded-For', ''],
  ['close, x-forwarded-for,x-own', ''],
  ['keep-alive,X-Forwarded-For', 'Connection: X-Own\r\n'],
  ['TE, X-Own', 'Upgrade: h2c\r\n'],
])('Connection: %s makes no server drop such a header, nor one of a policy', async (value, more) => {
  const lines = ['GET / HTTP/1.1', 'Host: owning', `Connection: ${value}`].join('\r\n');
  const answer = await sendRaw(served.balancer.port, `${lines}\r\n${more}\r\n`, /\}\}/);
  const { headers } = JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '{}') as Asked;
  expect(headers).toEqual({ host: 'owning', 'x-forwarded-for': '127.0.0.1', 'x-own': '1' });
});

test('headers of a trusted proxy are kept, and its address is added', async () => {
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
])('an upgrade to another HTTP, %s, does not reach the server', async (value) => {
  const answer = await upgrade(value, ['HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']);
  // From 3.0, HAProxy itself takes h2c out of such a list and leaves the websocket.
  expect(answer).not.toMatch(/^upgrade: (?!websocket\r)/im);
  expect(answer).toMatch(/plain|upgrade: websocket\r/);
});

test.each(['Upgrade', 'keep-alive, upgrade', 'upgrade, X-Forwarded-For'])(
  'an upgrade to a websocket works with Connection: %s',
  async (connection) => {
    const answer = await upgrade('websocket', [], connection);
    expect(answer).toContain('101 Switching Protocols');
    expect(answer).toContain('hello');
  },
);

test('a websocket works over HTTP/2', async () => {
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
  // The loop below throws it: HAProxy refuses a stream that is opened during a reload.
  stream.on('error', () => undefined);
  let body = '';
  for await (const part of stream) body += part;
  session.close();
  expect([await status, body]).toEqual([200, 'hello']);
});
