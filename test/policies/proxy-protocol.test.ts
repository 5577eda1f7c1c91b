import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Cidr } from '../../src/model/address.ts';
import { ask, exchange } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { type Asked, askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { logged, reloadingPolicy } from '../support/serving.ts';
import { startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

let db: Awaited<ReturnType<typeof startTcpEcho>>;
let port: number;
let echo: Awaited<ReturnType<typeof startEcho>>;
afterAll(() => Promise.all([db.close(), echo.close()]));

const sender = '127.0.0.2';

const served = serveAll(
  async () => {
    [echo, db, port] = await Promise.all([startEcho('a'), startTcpEcho(), freePort()]);
    const access = { deny: ['198.51.100.0/24'] };
    return {
      web: { policy: { hosts: ['*'], access }, instances: { a: echo.address } },
      db: { policy: { mode: 'tcp', port, access }, instances: { a: db.address } },
    };
  },
  () => ({
    baseSettings: {
      proxyProtocol: [sender, '127.0.4.0/24'] as Cidr[],
      trustedProxies: ['203.0.113.0/24'] as Cidr[],
      accessLog: true,
    },
  }),
);

const v1 = (client: string) => `PROXY TCP4 ${client} 127.0.0.1 4711 80\r\n`;
const v1of6 = (client: string) => `PROXY TCP6 ${client} ::1 4711 80\r\n`;

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

function v2(client: string): Buffer {
  const addresses = [...client.split('.'), 127, 0, 0, 1].map(Number);
  return Buffer.concat([signature, Buffer.from([0x21, 0x11, 0, 12, ...addresses, 0x12, 0x67, 0, 80])]);
}

/** What the health check of a load balancer sends: a header without an address. */
const local = Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]);

/** Sends a header and more on one connection, and gives everything that comes back. */
async function send(to: number, from: string, header: string | Buffer, more: string, last: RegExp): Promise<string> {
  const socket: Socket = connect({ host: '127.0.0.1', port: to, localAddress: from });
  let received = '';
  socket.on('error', () => undefined);
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    received += bytes.toString();
    if (last.test(received)) socket.destroy();
  });
  socket.write(header);
  socket.write(more);
  await new Promise((resolve) => socket.once('close', resolve));
  return received;
}

const request = (...lines: readonly string[]) => ['GET / HTTP/1.1', 'Host: web', ...lines, '', ''].join('\r\n');

async function asked(header: string | Buffer, from = sender, ...lines: readonly string[]): Promise<Asked> {
  const answer = await send(served.balancer.port, from, header, request(...lines), /\}\}/);
  return JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '{"headers":{}}') as Asked;
}

describe('a connection from a network that sends PROXY headers', () => {
  test.each([
    ['version 1', v1('203.0.112.7'), '203.0.112.7'],
    ['version 1 with IPv6', v1of6('2001:db8::7'), '2001:db8::7'],
    ['version 2', v2('203.0.112.7'), '203.0.112.7'],
    ['version 2 of a health check', local, sender],
  ])('has the client of the header: %s', async (_, header, client) => {
    expect((await asked(header)).headers['x-forwarded-for']).toBe(client);
    expect((await asked(header, '127.0.4.9')).headers['x-forwarded-for']).toMatch(
      client === sender ? '127.0.4.9' : client,
    );
  });

  test('is closed without the header', async () => {
    expect(await send(served.balancer.port, sender, '', request(), /./)).toBe('');
  });

  test('is for clients with access', async () => {
    const answer = await send(served.balancer.port, sender, v1('198.51.100.7'), request(), /\r\n\r\n/);
    expect(answer).toContain(' 403 ');
  });

  test('may be that of a trusted proxy in front of the sender', async () => {
    const lines = ['X-Forwarded-For: 198.51.99.1, 192.0.2.7'];
    expect((await asked(v1('203.0.113.1'), sender, ...lines)).headers['x-real-ip']).toBe('192.0.2.7');
    expect((await asked(v1('203.0.112.1'), sender, ...lines)).headers).toMatchObject({
      'x-forwarded-for': '203.0.112.1',
    });
  });

  test('has its client in the access log', async () => {
    await asked(v2('192.0.2.99'));
    await until('the line', () => served.balancer.lines.some((line) => line.includes('192.0.2.99')));
  });

  test('to a tcp service is the same', async () => {
    expect(await send(port, sender, v2('203.0.112.7'), 'hello\n', /hello/)).toBe('hello\n');
    expect(await send(port, sender, v2('198.51.100.7'), 'hello\n', /hello/)).toBe('');
    expect(await send(port, sender, '', 'hello\n', /hello/)).toBe('');
  });
});

describe('a connection from anywhere else', () => {
  test('cannot have a header', async () => {
    const answer = await send(served.balancer.port, '127.0.0.3', v1('203.0.112.7'), request(), /\r\n\r\n/);
    expect(answer).toContain(' 400 ');
    expect(await send(served.balancer.port, '127.0.0.3', v2('203.0.112.7'), request(), /\r\n\r\n/)).not.toContain(
      ' 200 ',
    );
    const sent = await send(port, '127.0.0.3', v1('198.51.100.7'), '', /\n/);
    expect(sent, 'the server gets the bytes').toBe(v1('198.51.100.7'));
  });

  test('needs none', async () => {
    expect((await asked('', '127.0.0.3')).headers['x-forwarded-for']).toBe('127.0.0.3');
    expect(await send(port, '127.0.0.3', '', 'hello\n', /hello/)).toBe('hello\n');
  });
});

test('a real HAProxy in front that checks with a PROXY header is answered, also over a reload', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pm-front-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const [front = 0] = await freePorts(1);
  await writeFile(
    join(dir, 'front.cfg'),
    `defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1m
listen front
    bind 127.0.0.1:${front}
    option tcp-check
    server b 127.0.0.1:${served.balancer.port} source 127.0.4.8 send-proxy-v2 check inter 100ms\n`,
  );
  const running = execa(haproxyBin, ['-db', '-f', join(dir, 'front.cfg')], { reject: false });
  onTestFinished(async () => {
    running.kill('SIGTERM');
    await running;
  });
  await until('it serves', async () => (await ask(front, 'web').catch(() => undefined))?.status === 200);
  const from = '127.0.0.88';
  expect((await askEcho(front, { host: 'web', from })).headers['x-forwarded-for']).toBe(from);

  // A connection that stays open over the reload, so that the old worker passes its next request on.
  const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: from });
  onTestFinished(() => agent.destroy());
  const kept = async () => {
    const { status, body } = await exchange(front, { host: 'web', from, agent });
    return status === 200 ? (JSON.parse(body) as Asked).headers['x-forwarded-for'] : `status ${status}`;
  };
  expect(await kept()).toBe(from);
  served.balancer.change({ 'services/new': reloadingPolicy(1), 'instances/new/a': echo.address });
  await served.balancer.applied();
  await until('the old worker passes requests on', () => logged(served.balancer, 'old-worker-passes-on').length > 0);
  expect(await kept()).toBe(from);
});
