import { connect } from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { startEtcd } from '../support/etcd.ts';
import { serveAll } from '../support/policies.ts';
import { startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

/** The answer to checks, and the requests that checks made. */
let health = { status: 204, body: '' };
const asked = new Set<string>();
let etcd: Awaited<ReturnType<typeof startEtcd>>;
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

const often = { interval: '100ms', fall: 1, rise: 1 };
let tcp: Awaited<ReturnType<typeof startTcpEcho>>;

const served = serveAll(async () => {
  const app = await startApp('app', ({ method, url, headers }, response) => {
    if (url?.startsWith('/health')) {
      asked.add(`${method} ${url} of ${headers.host}`);
      response.writeHead(health.status).end(health.body);
    } else if (url !== '/silent') response.end('app');
  });
  tcp = await startTcpEcho();
  etcd = await startEtcd();
  closing.push(app.close, tcp.close, etcd.close);
  const http = { kind: 'http', path: '/health?deep=1', ...often };
  const grpc = { kind: 'grpc', timeout: '300ms', ...often };
  const [member = ''] = etcd.endpoints;
  const a = { a: app.address };
  return {
    status: { policy: { check: { ...http, status: ['204', '300-399'], method: 'OPTIONS' } }, instances: a },
    body: { policy: { check: { ...http, body: '"ok": true #1', host: 'health.example' } }, instances: a },
    beside: {
      policy: { check: { ...http, port: app.port } },
      instances: { a: { address: '127.0.0.1', port: 9 } },
    },
    patient: { policy: { check: { kind: 'http', path: '/silent', timeout: '60s', ...often } }, instances: a },
    impatient: { policy: { check: { kind: 'http', path: '/silent', ...often } }, instances: a },
    connects: { policy: { check: { kind: 'tcp', ...often } }, instances: { a: tcp.address } },
    unchecked: { policy: { check: { kind: 'none' } }, instances: a },
    grpc: { policy: { protocol: 'h2', check: grpc }, instances: { a: member } },
    'grpc-other': { policy: { protocol: 'h2', check: { ...grpc, service: 'nobody.Knows' } }, instances: { a: member } },
  };
});

const isUp = async (service: string, instance = 'a') =>
  (await served.balancer.link.inspect()).servers.get(service)?.get(instance)?.up;
const becomes = (service: string, up: boolean) =>
  until(`${service} is ${up ? 'up' : 'down'}`, async () => (await isUp(service)) === up);
const status = async (host: string) => (await exchange(served.balancer.port, { host })).status;

describe('a check', () => {
  test('by HTTP asks as it is told, and expects a status', async () => {
    health = { status: 204, body: '' };
    await becomes('status', true);
    expect(await status('status')).toBe(200);
    await until('it was asked', () => asked.has('OPTIONS /health?deep=1 of status'));
    health = { status: 200, body: '' };
    await becomes('status', false);
    expect(await status('status')).toBe(503);
    health = { status: 302, body: '' };
    await becomes('status', true);
  });

  test('by HTTP expects a text as well', async () => {
    health = { status: 200, body: '{"ok": false #1}' };
    await becomes('body', false);
    await until('it was asked', () => asked.has('GET /health?deep=1 of health.example'));
    health = { status: 200, body: '{"ok": true #1}' };
    await becomes('body', true);
    expect(await status('body')).toBe(200);
  });

  test('asks on another port', async () => {
    health = { status: 500, body: '' };
    await becomes('beside', false);
    health = { status: 200, body: '' };
    await becomes('beside', true);
  });

  test('waits for an answer as long as it is told', async () => {
    await becomes('impatient', false);
    expect(await isUp('patient')).toBe(true);
  });

  test('begins for a server that joins at run time', async () => {
    const { balancer } = served;
    health = { status: 500, body: '' };
    balancer.change({ 'instances/status/b': '127.0.0.1:9' });
    await balancer.applied();
    await until('it is down', async () => (await isUp('status', 'b')) === false);
    expect(await balancer.metric('reloads_total')).toBe(0);
  });

  test('by TCP wants a connection', async () => {
    await becomes('connects', true);
    await tcp.close();
    await becomes('connects', false);
  });

  test('that is none believes in every server', async () => {
    health = { status: 500, body: '' };
    expect(await status('unchecked')).toBe(200);
  });
});

describe('a gRPC service', () => {
  test('is asked by its own protocol, and served', async () => {
    await becomes('grpc', true);
    await becomes('grpc-other', false);
    expect(await callHealth('grpc')).toEqual({ status: 200, message: '00000000020801' });
  });

  test('is down when it does not answer', async () => {
    const [member] = etcd.members;
    member?.signal('SIGSTOP');
    await becomes('grpc', false);
    member?.signal('SIGCONT');
    await becomes('grpc', true);
  });
});

/** Calls grpc.health.v1.Health/Check of a service through the balancer, as a gRPC client does. */
function callHealth(authority: string): Promise<{ status: number; message: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    session.once('error', reject);
    const call = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = 0;
    let message = '';
    call.once('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    call.on('data', (data: Buffer) => {
      message += data.toString('hex');
    });
    call.once('error', reject);
    call.once('close', () => {
      session.close();
      resolve({ status, message });
    });
    call.end(Buffer.alloc(5));
  });
}
