import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { readVersion } from '../../src/haproxy/check.ts';
import { startApp } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { openTcp } from '../support/tcp.ts';
import { until } from '../support/until.ts';

let app: Awaited<ReturnType<typeof startApp>>;
const closing: (() => void)[] = [];
afterAll(async () => {
  for (const close of closing) close();
  await app.close();
});

/** A server that takes no connection any more: it accepts none, and its backlog is full. */
async function startFull(): Promise<string> {
  const script = `require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, function () {
    require('node:fs').writeSync(1, this.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  closing.push(() => void child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const port = Number(String(line));
  let connected = 0;
  const waiting = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('connect', () => (connected += 1)));
  closing.push(() => waiting.forEach((socket) => void socket.on('error', () => undefined).destroy()));
  // Two fit into a backlog of one.
  await until('the backlog is full', () => connected >= 2);
  return `127.0.0.1:${port}`;
}

const served = serveAll(async () => {
  // Never answers `/never`; takes a websocket's upgrade and gives back what it gets.
  app = await startApp('app', ({ url }, response) => {
    if (url !== '/never') response.end('ok');
  });
  app.server.on('upgrade', ({ headers }, socket) => {
    const proof = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n');
    socket.write(`Sec-WebSocket-Accept: ${proof.digest('base64')}\r\n\r\n`);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  const instances = { a: app.address };
  const [full, bare] = [{ a: await startFull() }, { check: { kind: 'none' }, retries: { count: 0 } }];
  return {
    quick: { policy: { timeouts: { connect: '500ms', server: '1s', queue: '1s' } }, instances },
    'half-asked': { policy: { timeouts: { client: '1s' } }, instances },
    tunnel: { policy: { timeouts: { server: '1s', tunnel: '3s' } }, instances },
    patient: { policy: { ...bare, timeouts: { connect: '1m' } }, instances: full },
    impatient: { policy: { ...bare, timeouts: { connect: '500ms' } }, instances: full },
    plain: { instances },
  };
});

/** Opens a websocket's connection by hand, as far as HTTP goes. */
async function upgrade(host: string) {
  const connection = openTcp(served.balancer.port);
  connection.send(`GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`);
  connection.send('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await until('it is upgraded', () => connection.received().includes('\r\n\r\n'));
  expect(connection.received()).toMatch(/^HTTP\/1.1 101 /);
  return connection;
}

describe('a timeout', () => {
  test('of the server ends the wait for an answer', async () => {
    expect((await exchange(served.balancer.port, { host: 'quick', path: '/never' })).status).toBe(504);
  });

  test('of connecting ends the wait for a server that takes no connection', async () => {
    const patient = exchange(served.balancer.port, { host: 'patient' }).catch(() => undefined);
    const impatient = exchange(served.balancer.port, { host: 'impatient' });
    expect((await impatient).status).toBe(503);
    expect(await Promise.race([patient, 'still waiting'])).toBe('still waiting');
  });

  test('of the client ends the wait for the rest of a request, from HAProxy 2.9 on', async () => {
    const version = await readVersion(process.env['HAPROXY_BIN'] ?? 'haproxy');
    const socket = connect(served.balancer.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.write('POST /never HTTP/1.1\r\nHost: half-asked\r\nContent-Length: 10\r\n\r\nhalf');
    if (Number.parseFloat(version) >= 2.9) await until('it gave up', () => /^HTTP\/1.1 40[08] /.test(answer));
    socket.destroy();
  });

  test('of a tunnel is longer, and counts for a websocket that is open', async () => {
    const connection = await upgrade('tunnel');
    const before = connection.received().length;
    connection.send('first');
    await until('the bytes come back', () => connection.received().slice(before) === 'first');
    await connection.closed;
  });
});

test('a websocket passes through a service that says nothing about it', async () => {
  const connection = await upgrade('plain');
  const before = connection.received().length;
  connection.send('first');
  await until('the bytes come back', () => connection.received().slice(before) === 'first');
  connection.send(' second');
  await until('more bytes come back', () => connection.received().slice(before) === 'first second');
  await connection.close();
});
