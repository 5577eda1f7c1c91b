import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import type { Cidr } from '../../src/model/address.ts';
import { type Asked, startEcho } from '../support/echo.ts';
import { issuePem } from '../support/pem.ts';
import { serveAll } from '../support/policies.ts';
import { freePorts } from '../support/ports.ts';
import { until } from '../support/until.ts';

const closing: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

/** A TLS server of its own: it says its name, the name that it was asked for, and echoes. */
async function startTls(folder: string, name: string) {
  await issuePem(folder, name);
  const pem = await readFile(join(folder, `${name}.pem`), 'utf8');
  const server = createServer({ cert: pem, key: pem, ALPNProtocols: ['h2', 'acme-tls/1'] }, (socket) => {
    socket.on('error', () => undefined);
    socket.write(name);
    socket.pipe(socket);
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has a port');
  return { a: `127.0.0.1:${address.port}` };
}

let [shared, https, fallback]: readonly number[] = [];
let dir = '';
let http: Awaited<ReturnType<typeof startEcho>>;
let late: { a: string };

const served = serveAll(
  async () => {
    const own = join(dir, 'servers');
    await mkdir(own);
    http = await startEcho('web');
    closing.push(() => http.close());
    const servers: Record<string, { a: string }> = {};
    for (const name of ['db', 'wild', 'other', 'acme', 'late', 'quiet']) servers[name] = await startTls(own, name);
    const { db, wild, other, acme, quiet } = servers as Record<string, { a: string }> as never as Record<
      'db' | 'wild' | 'other' | 'acme' | 'quiet',
      { a: string }
    >;
    late = servers['late'] ?? { a: '' };
    const tcp = (port: number | undefined, sni: readonly string[], more: object = {}) => ({
      mode: 'tcp',
      port,
      sni,
      ...more,
    });
    return {
      web: { policy: { hosts: ['shop.example.com', 'old.example.com'] }, instances: { a: http.address } },
      db: { policy: tcp(shared, ['db.example.com']), instances: db },
      wild: { policy: tcp(shared, ['*.example.com']), instances: wild },
      'wild-acme': { policy: tcp(shared, ['db.example.com'], { alpn: ['acme-tls/1'] }), instances: acme },
      quiet: { policy: tcp(shared, ['quiet.example.com'], { maintenance: true }), instances: quiet },
      rest: { policy: tcp(fallback, ['*']), instances: other },
      named: { policy: tcp(fallback, ['db.example.com'], { access: { deny: ['127.0.0.9'] } }), instances: db },
      beside: { policy: tcp(https, ['db.example.com', '*.example.com']), instances: db },
      challenge: { policy: tcp(https, ['*'], { alpn: ['acme-tls/1'] }), instances: acme },
      greedy: { policy: tcp(https, ['old.example.com', '*'], { alpn: ['h2'] }), instances: other },
    };
  },
  () => ({
    baseSettings: {
      https: { bind: `127.0.0.1:${https}`, list: join(dir, 'crt-list'), http3: false },
      proxyProtocol: ['127.0.4.0/24'] as Cidr[],
      accessLog: true,
    },
  }),
);

// Before the balancer starts: `serveAll` declares first.
[shared, https, fallback] = await freePorts(3);
dir = await mkdtemp(join(tmpdir(), 'pm-names-'));
closing.push(() => rm(dir, { recursive: true, force: true }));
await issuePem(dir, 'shop.example.com');
await writeFile(join(dir, 'crt-list'), `${join(dir, 'shop.example.com.pem')}\n`);

type Asking = Pick<ConnectionOptions, 'servername' | 'ALPNProtocols'> & { readonly from?: string };

/** The server that a client of TLS reaches; undefined: the connection is closed before the handshake is done. */
function reaches(port: number | undefined, { from = '127.0.0.1', ...asking }: Asking): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({
      ...asking,
      socket: connectTcp({ port: port ?? 0, host: '127.0.0.1', localAddress: from }),
      rejectUnauthorized: false,
    });
    socket.on('secureConnect', () => {
      const name = socket.getPeerCertificate().subject?.CN;
      socket.destroy();
      resolve(name === undefined ? undefined : `${name}`);
    });
    socket.on('error', () => resolve(undefined)).on('close', () => resolve(undefined));
    socket.setTimeout(10_000, () => socket.destroy(new Error('no handshake within 10 s')));
  });
}

/** One request over HTTPS, on the port that `tcp` services share. */
function askHttps(host: string, from: string, proxyHeader = ''): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port: https ?? 0, host: '127.0.0.1', localAddress: from });
    socket.write(proxyHeader);
    const createConnection = () => connect({ socket, servername: host, rejectUnauthorized: false });
    get({ createConnection, headers: { host } }, (response) => {
      let body = '';
      response.on('data', (part: Buffer) => {
        body += part.toString();
      });
      response.on('end', () => resolve(JSON.parse(body) as Asked));
    }).on('error', reject);
  });
}

describe('services on one port', () => {
  test.each([
    ['the service of the exact name', 'db.example.com', 'db'],
    ['in any letters', 'DB.Example.com', 'db'],
    ['the service of the domain', 'a.example.com', 'wild'],
    ['nobody by a name of no service', 'example.org', undefined],
    ['nobody by a name two labels below the domain', 'a.b.example.com', undefined],
    ['nobody in maintenance', 'quiet.example.com', undefined],
  ])('get connections by the name in TLS: %s', async (_, servername, name) => {
    expect(await reaches(shared, { servername })).toBe(name);
  });

  test('get none without a name, and none without TLS', async () => {
    expect(await reaches(shared, {})).toBeUndefined();
    const socket = connectTcp(shared ?? 0, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
    socket.on('error', () => undefined);
    expect(await new Promise((resolve) => socket.on('data', resolve).on('close', () => resolve('closed')))).toBe(
      'closed',
    );
  });

  test('get none from a client whose first message takes more than 10 s', async () => {
    const socket = connectTcp(shared ?? 0, '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', () => resolve('closed')));
    socket.on('error', () => undefined);
    // The beginning of a ClientHello of 512 bytes, a byte at a time.
    const parts = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...new Array<number>(200).fill(7)];
    const sending = setInterval(() => socket.write(Buffer.from([parts.shift() ?? 0])), 500);
    const deadline = setTimeout(() => socket.destroy(new Error('still open')), 25_000);
    socket.on('error', (error) => expect(error.message).not.toBe('still open'));
    expect(await closed).toBe('closed');
    clearInterval(sending);
    clearTimeout(deadline);
    expect(parts.length).toBeGreaterThan(160);
  }, 40_000);

  test('get them by the protocol that the client offers first', async () => {
    const servername = 'db.example.com';
    expect(await reaches(shared, { servername, ALPNProtocols: ['acme-tls/1'] })).toBe('acme');
    expect(await reaches(shared, { servername, ALPNProtocols: ['h2', 'acme-tls/1'] })).toBe('db');
    expect(await reaches(shared, { servername: 'a.example.com', ALPNProtocols: ['acme-tls/1'] })).toBe('wild');
  });

  test('may be one for all other names, and for clients without a name', async () => {
    expect(await reaches(fallback, { servername: 'example.org' })).toBe('other');
    expect(await reaches(fallback, {})).toBe('other');
    expect(await reaches(fallback, { servername: 'db.example.com' })).toBe('db');
  });

  test('have the access of their policy', async () => {
    expect(await reaches(fallback, { servername: 'db.example.com', from: '127.0.0.9' })).toBeUndefined();
    expect(await reaches(fallback, { servername: 'example.org', from: '127.0.0.9' })).toBe('other');
  });

  test('get a new name without a reload, and lose it again', async () => {
    const { balancer } = served;
    const reloads = () => balancer.metric('reloads_total', { result: 'ok' });
    balancer.change({
      'services/late': JSON.stringify({ mode: 'tcp', port: shared, sni: ['first.example.org'] }),
      'instances/late/a': late.a,
    });
    await balancer.applied();
    expect(await reaches(shared, { servername: 'first.example.org' })).toBe('late');
    const before = await reloads();
    const names = ['first.example.org', 'second.example.org', 'db.example.com'];
    balancer.change({ 'services/late': JSON.stringify({ mode: 'tcp', port: shared, sni: names }) });
    await balancer.applied();
    expect(await reaches(shared, { servername: 'second.example.org' })).toBe('late');
    expect(await reaches(shared, { servername: 'db.example.com' }), 'another service had it first').toBe('db');
    balancer.change({ 'services/late': JSON.stringify({ mode: 'tcp', port: shared, sni: ['second.example.org'] }) });
    await balancer.applied();
    expect(await reaches(shared, { servername: 'first.example.org' })).toBeUndefined();
    expect(await reloads()).toBe(before);
  });
});

describe('services on the port of HTTPS', () => {
  test('get their names, and HTTPS has the hosts of HTTP services', async () => {
    expect(await reaches(https, { servername: 'db.example.com' })).toBe('db');
    expect(await reaches(https, { servername: 'other.example.com' })).toBe('db');
    expect(await reaches(https, { servername: 'shop.example.com' })).toBe('shop.example.com');
    expect(await reaches(https, { servername: 'example.org' }), 'no certificate').toBeUndefined();
  });

  test('leave the address of a client to HTTPS', async () => {
    const { name, headers } = await askHttps('shop.example.com', '127.0.0.77');
    expect({ name, ...headers }).toMatchObject({
      name: 'web',
      'x-forwarded-for': '127.0.0.77',
      'x-forwarded-proto': 'https',
    });
  });

  test('are behind load balancers with PROXY headers, as HTTPS is', async () => {
    const header = 'PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n';
    const { headers } = await askHttps('shop.example.com', '127.0.4.1', header);
    expect(headers['x-forwarded-for']).toBe('203.0.113.7');
    await expect(askHttps('shop.example.com', '127.0.4.1')).rejects.toThrow();
    await expect(askHttps('shop.example.com', '127.0.0.77', header)).rejects.toThrow();
  });

  test('are not logged for the requests of HTTPS', async () => {
    await askHttps('shop.example.com', '127.0.0.78');
    await reaches(https, { servername: 'db.example.com', from: '127.0.0.79' });
    const lines = (client: string) => served.balancer.lines.filter((line) => line.includes(client));
    await until('both are logged', () => lines('127.0.0.78').length > 0 && lines('127.0.0.79').length > 0);
    expect(lines('127.0.0.78').map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(['request']);
  });

  test('may have another protocol than HTTP, for all names', async () => {
    expect(await reaches(https, { servername: 'shop.example.com', ALPNProtocols: ['acme-tls/1'] })).toBe('acme');
    expect(await reaches(https, { servername: 'example.org', ALPNProtocols: ['acme-tls/1'] })).toBe('acme');
  });

  test('cannot have a protocol of HTTP', async () => {
    expect(await reaches(https, { servername: 'shop.example.com', ALPNProtocols: ['h2'] })).toBe('shop.example.com');
    const { conflicts } = served.balancer.balancer.status();
    expect(conflicts).toContainEqual(expect.objectContaining({ kind: 'port', loser: 'greedy', port: https }));
  });

  test('do not get the host of an HTTP service that is older, and an HTTP service not theirs', async () => {
    const { balancer } = served;
    balancer.change({
      'services/thief': JSON.stringify({ mode: 'tcp', port: https, sni: ['shop.example.com'] }),
      'instances/thief/a': late.a,
    });
    await balancer.applied();
    expect(await reaches(https, { servername: 'shop.example.com' })).toBe('shop.example.com');
    const route = `shop.example.com:${https}/`;
    expect(balancer.balancer.status().conflicts).toContainEqual(
      expect.objectContaining({ kind: 'route', route, winner: 'web', loser: 'thief' }),
    );
    balancer.change({ 'services/thief': undefined, 'instances/thief/a': undefined });
    await balancer.applied();
  });
});

test('a service with sni that no claim allows gets no connection', async () => {
  const { balancer } = served;
  balancer.change({
    'claims/bounded': '{"hosts":["mine.example.org"]}',
    'services/bounded': JSON.stringify({
      mode: 'tcp',
      port: shared,
      sni: ['mine.example.org', 'not-mine.example.org'],
    }),
    'instances/bounded/a': late.a,
  });
  await balancer.applied();
  expect(await reaches(shared, { servername: 'mine.example.org' })).toBe('late');
  expect(await reaches(shared, { servername: 'not-mine.example.org' })).toBeUndefined();
  expect(balancer.balancer.status().conflicts).toContainEqual(
    expect.objectContaining({ kind: 'host', host: 'not-mine.example.org', loser: 'bounded' }),
  );
});
