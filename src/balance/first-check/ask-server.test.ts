import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { createServer as createNet } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeAuthority } from '../../../test/support/certificates.ts';
import type { Instance } from '../../model/instance.ts';
import { parseInstance } from '../../model/instance.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { parsePolicy } from '../../model/policy.ts';
import { grpcServing } from '../../render/grpc-check.ts';
import { timeLimit } from '../../waiting/time-limit.ts';
import { askServer } from './ask-server.ts';
import { serverTarget } from './server-target.ts';

async function listen(server: Server | NetServer): Promise<number> {
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function ask(port: number, policy: object, patienceMs = 30_000, pemFolder = '/'): Promise<string> {
  const read = parsePolicy(JSON.stringify(policy));
  const instance = parseInstance('web' as ServiceName, 'a' as InstanceId, `127.0.0.1:${port}`);
  if (!read.ok || !instance.ok) throw new Error('a test has good values');
  const target = serverTarget(
    { name: 'web' as ServiceName, policy: read.value },
    instance.value as Instance,
    pemFolder,
  );
  if (target === undefined) return 'no check';
  return askServer(target, timeLimit(patienceMs)).then(
    () => 'passes',
    (error: Error) => error.message,
  );
}

test('by TCP a connection is enough, and one that is refused fails', async () => {
  const server = createNet((socket) => socket.on('error', () => undefined));
  const port = await listen(server);
  expect(await ask(port, { check: { kind: 'tcp' } })).toBe('passes');
  await new Promise((resolve) => server.close(resolve));
  expect(await ask(port, { check: { kind: 'tcp' } })).toMatch(/ECONNREFUSED/);
});

test.each(['h1', 'h2'])('by HTTP (%s) method, path, host, status and body count', async (protocol) => {
  const answer = (request: { method?: string | undefined; url?: string | undefined }, host: string | undefined) =>
    request.method === 'POST' && request.url === '/h?x' && host === 'health.example' ? 207 : 503;
  const h1 = createServer((request, response) =>
    response.writeHead(answer(request, request.headers.host)).end('it is well'),
  );
  const h2 = createHttp2((request, response) =>
    response.writeHead(answer(request, request.authority)).end('it is well'),
  );
  const port = await listen(protocol === 'h2' ? h2 : h1);
  const check = { kind: 'http', method: 'POST', path: '/h?x', host: 'health.example' };
  expect(await ask(port, { protocol, check })).toBe('passes');
  expect(await ask(port, { protocol, check: { ...check, path: '/' } })).toBe('status 503');
  expect(await ask(port, { protocol, check: { ...check, status: ['200'] } })).toBe('status 207');
  expect(await ask(port, { protocol, check: { ...check, body: 'is well' } })).toBe('passes');
  expect(await ask(port, { protocol, check: { ...check, body: 'is bad' } })).toBe('the answer has no "is bad"');
});

test('an answer that does not come in time fails', async () => {
  const port = await listen(createServer(() => undefined));
  expect(await ask(port, { check: { kind: 'http' } }, 300)).toBe('no answer in time');
});

test.each(['h1', 'h2'])('informational answers without end (%s) fail at the second', async (protocol) => {
  const h1 = createNet((socket) => {
    const talk = () =>
      void (socket.destroyed || socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => setTimeout(talk, 1)));
    socket.on('error', () => undefined).once('data', talk);
  });
  const h2 = createHttp2().on('stream', (stream) => {
    const talk = () => {
      if (stream.destroyed) return;
      stream.additionalHeaders({ ':status': 103 });
      setTimeout(talk, 1);
    };
    stream.on('error', () => undefined);
    talk();
  });
  const port = await listen(protocol === 'h2' ? h2 : h1);
  const check = { kind: 'http' };
  expect(await ask(port, { protocol, check })).toBe(
    'a second informational response (1xx) arrived instead of the response',
  );
});

test('one informational answer before the answer is none', async () => {
  const said = 'HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 x\r\n\r\n';
  const server = createNet((socket) => socket.on('error', () => undefined).once('data', () => socket.end(said)));
  expect(await ask(await listen(server), { check: { kind: 'http' } })).toBe('passes');
});

test.each([
  ['v1', 'PROXY UNKNOWN\r\n'],
  ['v2', '\r\n\r\n\0\r\nQUIT\n \0\0\0'],
])('the PROXY protocol %s comes first', async (proxyProtocol, head) => {
  let heard = '';
  const server = createNet((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (heard.includes('HTTP/1.1')) socket.end('HTTP/1.1 204 OK\r\n\r\n');
    });
  });
  expect(await ask(await listen(server), { proxyProtocol, check: { kind: 'http' } })).toBe('passes');
  expect(heard.startsWith(`${head}GET / HTTP/1.1\r\n`)).toBe(true);
});

test('by gRPC it has to say SERVING', async () => {
  const speaking = (hex: string) =>
    listen(createNet((socket) => socket.on('error', () => undefined).on('data', () => socket.end(hex, 'hex'))));
  const policy = { protocol: 'h2', check: { kind: 'grpc' } };
  expect(await ask(await speaking(`0000${grpcServing}`), policy)).toBe('passes');
  expect(await ask(await speaking('00000000020802'), policy)).toBe('it does not say SERVING');
});

// It would stop pointsman, with large parameters for a second each time.
test('by TLS no server can ask for finite-field Diffie-Hellman', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-check-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { certFile, keyFile } = await (await makeAuthority(folder)).issue('server', 1, ['web.internal']);
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const server = createHttps({
    cert,
    key,
    dhparam: 'auto',
    ciphers: 'DHE-RSA-AES128-GCM-SHA256',
    maxVersion: 'TLSv1.2',
  });
  expect(await ask(await listen(server), { tls: { verify: false }, check: { kind: 'tcp' } })).toMatch(
    /handshake failure/,
  );
});

test('by TLS the certificate has to be of the authority and for the name of the policy, where it names one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pointsman-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [ours, theirs] = await Promise.all([
    makeAuthority(join(folder, 'ours')),
    makeAuthority(join(folder, 'theirs')),
  ]);
  const start = async ({ certFile, keyFile }: { readonly certFile: string; readonly keyFile: string }) => {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    return listen(createHttps({ cert, key }, (_, response) => void response.end()));
  };
  const [good, other] = [
    await start(await ours.issue('common', 1, ['web.internal'])),
    await start(await theirs.issue('a', 1, ['web.internal'])),
  ];
  const requested = (port: number, tls: object) =>
    ask(port, { tls, check: { kind: 'http' } }, 30_000, join(folder, 'ours'));
  const ca = 'ca.pem';
  expect(await requested(good, { ca, name: 'web.internal' })).toBe('passes');
  expect(await requested(good, { ca, name: 'common' })).toBe('passes');
  expect(await requested(good, { ca, name: 'api.internal' })).toMatch(/does not match/);
  expect(await requested(other, { ca, name: 'web.internal' })).toMatch(/unable to verify|self.signed/);
  expect(await requested(other, { verify: false })).toBe('passes');
});
