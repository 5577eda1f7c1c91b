import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createServer as createH2cServer,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer } from 'node:https';
import { createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { exchange } from '../support/ask.ts';
import { makeAuthority } from '../support/certificates.ts';
import { serveAll } from '../support/policies.ts';
import { openTcp } from '../support/tcp.ts';
import { until } from '../support/until.ts';

const servers: Server[] = [];
let folder = '';
afterAll(async () => {
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  await rm(folder, { recursive: true, force: true });
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return `127.0.0.1:${address.port}`;
}

/** Answers with how it was asked: the protocol, the server's name and the client's certificate. */
function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const socket = ('stream' in request ? request.stream.session?.socket : request.socket) as TLSSocket;
  const { subject } = socket.getPeerCertificate();
  response.end(`h${request.httpVersionMajor} ${socket.servername || '-'} ${subject?.CN ?? '-'}`);
}

/** Answers with what the PROXY protocol said, and takes no connection without it. */
function proxied() {
  return createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (head: Buffer) => {
      const v1 = /^PROXY TCP4 (\S+) /.exec(head.toString('latin1'))?.[1];
      const v2 = head.subarray(0, 12).toString('latin1') === '\r\n\r\n\0\r\nQUIT\n';
      const source = v1 === undefined ? (v2 ? `v2 ${[...head.subarray(16, 20)].join('.')}` : undefined) : `v1 ${v1}`;
      if (source === undefined) socket.destroy();
      else socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${source.length}\r\nConnection: close\r\n\r\n${source}`);
    });
  });
}

/** HTTP/2 without TLS, with websockets (RFC 8441) or without. */
function h2c(enableConnectProtocol: boolean): Server {
  const server = createH2cServer({ settings: { enableConnectProtocol } });
  server.on('stream', (stream) => stream.respond({ ':status': 200 }));
  return server;
}

const served = serveAll(
  async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-tls-'));
    const [ours, theirs] = await Promise.all([
      makeAuthority(join(folder, 'ours')),
      makeAuthority(join(folder, 'theirs')),
    ]);
    const certificate = await ours.issue('server', 1, ['web.internal']);
    const own = await ours.issue('balancer');
    await mkdir(join(folder, 'pem'));
    await copyFile(ours.caFile, join(folder, 'pem/ours.pem'));
    await copyFile(ours.caFile, join(folder, 'pem/later.pem'));
    await copyFile(theirs.caFile, join(folder, 'pem/theirs.pem'));
    const both = await Promise.all([readFile(own.certFile, 'utf8'), readFile(own.keyFile, 'utf8')]);
    await writeFile(join(folder, 'pem/own.pem'), both.join(''));

    const [cert, key, ca] = await Promise.all(
      [certificate.certFile, certificate.keyFile, ours.caFile].map((file) => readFile(file)),
    );
    const tls = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    const https = await listen(createServer(tls, answer));
    const h2 = await listen(createSecureServer(tls, answer));
    const finite = { ciphers: 'DHE-RSA-AES128-GCM-SHA256', dhparam: 'auto', maxVersion: 'TLSv1.2' } as const;
    const dhe = await listen(createServer({ ...tls, ...finite }, answer));
    const proxy = await listen(proxied());
    const [plain, connecting] = await Promise.all([listen(h2c(false)), listen(h2c(true))]);
    const check = { kind: 'http', interval: '1s', fall: 3, rise: 1 };
    const once = { check: { kind: 'none' }, retries: { count: 0 } };
    const verified = { ca: 'ours.pem', name: 'web.internal' };
    return {
      blind: { policy: { check, tls: { verify: false } }, instances: { a: https } },
      'web.internal': { policy: { check, tls: { ca: 'ours.pem' } }, instances: { a: https } },
      verified: { policy: { check, tls: verified }, instances: { a: https } },
      known: { policy: { check, tls: { ...verified, certificate: 'own.pem' } }, instances: { a: https } },
      stranger: { policy: { ...once, tls: { ca: 'theirs.pem' } }, instances: { a: https } },
      system: { policy: { ...once, tls: {} }, instances: { a: https } },
      finite: { policy: { ...once, tls: { verify: false } }, instances: { a: dhe } },
      misnamed: {
        policy: { ...once, tls: { ca: 'ours.pem', name: 'other.internal' } },
        instances: { a: https },
      },
      later: { policy: { tls: { ca: 'later.pem', name: 'web.internal' } }, instances: {} },
      h2: { policy: { check, protocol: 'h2', tls: verified }, instances: { a: h2 } },
      'no-sockets': { policy: { protocol: 'h2' }, instances: { a: plain } },
      sockets: { policy: { protocol: 'h2' }, instances: { a: connecting } },
      v1: { policy: { check, proxyProtocol: 'v1' }, instances: { a: proxy } },
      v2: { policy: { check, proxyProtocol: 'v2' }, instances: { a: proxy } },
      none: { instances: { a: proxy } },
    };
  },
  () => ({ serverTls: join(folder, 'pem') }),
);

const ask = async (host: string) => {
  const { status, body } = await exchange(served.balancer.port, { host, from: '127.0.0.3' });
  return status === 200 ? body : status;
};

describe('TLS to a server', () => {
  test('without verification takes any certificate', async () => {
    expect(await ask('blind')).toMatch(/^h1 (-|blind) -$/); // 3.3 and later ask for the request's host
  });

  test('takes one that the authority signed for the name, and asks for the name', async () => {
    expect(await ask('verified')).toBe('h1 web.internal -');
  });

  test("takes the service's name where none is given", async () => {
    expect(await ask('web.internal')).toBe('h1 web.internal -');
  });

  test("shows the balancer's own", async () => {
    expect(await ask('known')).toBe('h1 web.internal balancer');
  });

  test.each(['stranger', 'system', 'misnamed'])('does not take one of a %s', async (host) => {
    expect(await ask(host)).toBe(503);
  });

  // With parameters of 10,000 bits, 400 such servers of one service stopped HAProxy for 15 s at a time.
  test('is refused where the server wants finite-field Diffie-Hellman', async () => {
    expect(await ask('finite')).toBe(503);
  });

  test('carries HTTP/2', async () => {
    expect(await ask('h2')).toBe('h2 web.internal -');
  });

  test.each([
    { host: 'sockets', what: 'is opened where the server knows them in HTTP/2', status: 101 },
    { host: 'no-sockets', what: 'is answered with 502 where it does not', status: 502 },
  ])('a websocket to an h2 server $what', async ({ host, status }) => {
    const connection = openTcp(served.balancer.port);
    connection.send(`GET /ws HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`);
    connection.send('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    await until('it is answered', () => connection.received().includes('\r\n\r\n'));
    expect(connection.received()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  test('is the same for servers that join at run time, without a reload', async () => {
    const { balancer } = served;
    const names = ['blind', 'verified', 'known', 'h2'];
    const { accepted } = balancer.balancer.status().catalog;
    balancer.change(
      Object.fromEntries(
        names.flatMap((name) => [
          [`instances/${name}/a`, undefined],
          [`instances/${name}/b`, accepted.get(`instances/${name}/a`)?.value],
        ]),
      ),
    );
    // No service used these files before.
    balancer.change({ 'instances/later/a': accepted.get('instances/verified/a')?.value });
    await balancer.applied();
    const answers = await Promise.all([...names, 'later'].map(ask));
    expect(answers).toEqual([
      expect.stringMatching(/^h1 /),
      'h1 web.internal -',
      'h1 web.internal balancer',
      'h2 web.internal -',
      'h1 web.internal -',
    ]);
    expect(await balancer.metric('reloads_total')).toBe(0);
  });
});

test('the PROXY protocol tells a server who asks', async () => {
  expect(await Promise.all(['v1', 'v2', 'none'].map(ask))).toEqual(['v1 127.0.0.3', 'v2 127.0.0.3', 502]);
});

// HAProxy would check it without TLS and without the PROXY protocol, find it down, and leave it so until the next reload.
test.each(['blind', 'verified', 'known', 'h2', 'v1', 'v2'])(
  'a server of %s that joins passes its checks',
  async (name) => {
    const { balancer } = served;
    const { accepted } = balancer.balancer.status().catalog;
    const value = (accepted.get(`instances/${name}/a`) ?? accepted.get(`instances/${name}/b`))?.value;
    const reloads = await balancer.metric('reloads_total');
    balancer.change({ [`instances/${name}/checked`]: value });
    await balancer.applied();
    // A star is before the result while the next check runs.
    await until('its check passes', async () => {
      const [stat = ''] = await balancer.command('show stat');
      return stat.split('\n').some((line) => line.startsWith(`${name},checked,`) && /,(\* )?L7OK,/.test(line));
    });
    expect(await balancer.metric('reloads_total')).toBe(reloads);
  },
);
