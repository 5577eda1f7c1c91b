import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry as MetricsRegistry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type AdminLimits, adminLimits } from '../src/admin/open-port.ts';
import { serveAdmin } from '../src/admin/server.ts';
import { freePort } from './support/ports.ts';
import { PointsmanProcess, runPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

/** A connection that says just what it is told to say. */
class Raw {
  readonly socket: Socket;
  answer = '';
  closed = false;

  constructor(port: number, text = '') {
    this.socket = createConnection(port, '127.0.0.1');
    if (text !== '') this.socket.write(text);
    this.socket.setEncoding('utf8').on('data', (chunk: string) => {
      this.answer += chunk;
    });
    this.socket
      .on('error', () => undefined)
      .on('close', () => {
        this.closed = true;
      });
  }

  /** The status line and headers of the answer, once it is there whole or the other side has closed. */
  async answered(deadlineMs = 10_000): Promise<string> {
    await until('it answers', () => this.answer.includes('\r\n\r\n') || this.closed, { deadlineMs });
    return this.answer;
  }

  ended(deadlineMs = 20_000): Promise<boolean> {
    return until('the other side closes', () => this.closed, { deadlineMs });
  }

  async status(): Promise<number> {
    return Number((await this.answered()).split(' ')[1]);
  }
}

const token = 'a-token-of-more-than-16';

describe('the admin port of a balancer', () => {
  let dir: string;
  let port: number;
  let balancer: PointsmanProcess;
  const raws: Raw[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'pm-'));
    port = await freePort();
    await writeFile(join(dir, 'token'), `${token}\n`, { mode: 0o600 });
    await mkdir(join(dir, 'r'));
    // The folder is empty, so that nothing but the port is there: HAProxy starts with the first instance.
    balancer = new PointsmanProcess(
      [
        ...['balance', '--registry', `dir:${dir}/r`, '--dir', `${dir}/b`, '--http', `127.0.0.1:${await freePort()}`],
        ...['--admin', `127.0.0.1:${port}`, '--admin-token-file', `${dir}/token`],
      ],
      {},
    );
    await until(
      'it answers',
      async () => (await say('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n').status()) === 200,
    );
  });
  afterAll(async () => {
    for (const { socket } of raws) socket.destroy();
    balancer.kill('SIGTERM');
    await balancer.ended;
    await balancer.destroy();
    await rm(dir, { recursive: true, force: true });
  });

  const say = (text: string): Raw => {
    const raw = new Raw(port, text);
    raws.push(raw);
    return raw;
  };
  const ask = (line: string, ...headers: readonly string[]): Raw =>
    say(`${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n`);

  test('answers to the names of this machine, and to no other', async () => {
    for (const host of ['localhost', `localhost:${port}`, '127.0.0.1', `127.1.2.3:${port}`, '[::1]', `[::1]:${port}`]) {
      expect(await say(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`).status(), host).toBe(200);
    }
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '']) {
      expect(await say(`GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`).status(), host).toBe(421);
    }
    // Two of them are none of ours, in either order, and none in HTTP/1.1 is no request.
    expect(await say('GET /healthz HTTP/1.1\r\n\r\n').status()).toBe(400);
    for (const [first, second] of [
      ['localhost', 'evil.example'],
      ['evil.example', 'localhost'],
    ]) {
      expect(await say(`GET /healthz HTTP/1.1\r\nHost: ${first}\r\nHost: ${second}\r\n\r\n`).status()).toBe(421);
    }
  });

  test('answers HEAD with headers only, OPTIONS with what is allowed, and all with the same protection', async () => {
    const head = ask('HEAD /metrics');
    await head.ended();
    expect(head.answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n$/);
    expect(await ask('OPTIONS /metrics').answered()).toMatch(/^HTTP\/1\.1 204 [\s\S]*\r\nallow: GET, HEAD\r\n/i);
    for (const request of ['GET /status', 'GET /nowhere', 'POST /status', 'GET /healthz']) {
      const answer = (await ask(request).answered()).toLowerCase();
      expect(answer, request).toContain('\r\nx-content-type-options: nosniff\r\n');
      expect(answer, request).toContain("\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n");
      expect(answer, request).toContain('\r\ncache-control: no-store\r\n');
      expect(answer, request).not.toMatch(/\r\n(access-control-|x-powered-by|server:)/);
    }
  });

  test('changes nothing without the token, and what there is to change with it', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'FOO']) {
      const status = await ask(`${method} /log-level`, 'Content-Length: 5', '', 'debug').status();
      expect(status, method).toBe(method === 'FOO' ? 400 : 401);
    }
    const put = (body: string, authorization: string) =>
      say(
        `PUT /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    for (const wrong of ['Bearer x', `Basic ${token}`, token, `Bearer ${token}x`, `Bearer ${token.slice(0, -1)}`, '']) {
      expect(await put('debug', wrong).status(), wrong).toBe(401);
    }
    expect(await put('debug', `Bearer ${token}`).status()).toBe(200);
    expect((await ask('GET /log-level').answered()).endsWith('\r\n\r\ndebug\n')).toBe(true);
    expect(await put('loud', `Bearer ${token}`).status()).toBe(400);
    expect(await put('d'.repeat(65), `Bearer ${token}`).status()).toBe(413);
    // Also when the length is not said before.
    const chunked = say(
      `PUT /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    chunked.socket.write(`ffff\r\n${'d'.repeat(0xffff)}\r\n0\r\n\r\n`);
    expect(await chunked.status()).toBe(413);
    const deleted = say(`DELETE /status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    expect(await deleted.status()).toBe(404);

    // Replaced while it runs.
    await writeFile(join(dir, 'token'), 'another-token-of-more');
    expect(await put('info', `Bearer ${token}`).status()).toBe(401);
    expect(await put('info', 'Bearer another-token-of-more').status()).toBe(200);
    await writeFile(join(dir, 'token'), '');
    expect(await put('debug', 'Bearer ').status()).toBe(401);
    await writeFile(join(dir, 'token'), token);
  });

  test('takes no more than 8 KiB of headers', async () => {
    expect(await ask('GET /healthz', `X: ${'x'.repeat(4000)}`).status()).toBe(200);
    expect(await ask('GET /healthz', `X: ${'x'.repeat(9000)}`).status()).toBe(431);
    expect(await ask(`GET /${'x'.repeat(9000)}`).status()).toBe(431);
    const endless = say('GET /healthz HTTP/1.1\r\nHost: localhost\r\n');
    for (let i = 0; i < 200; i += 1) endless.socket.write(`X-${i}: ${'x'.repeat(100)}\r\n`);
    expect(await endless.status()).toBe(431);
  });

  test('answers what is no request with 400, and goes on', async () => {
    for (const text of ['\x16\x03\x01\x02\x00', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'x'.repeat(100)]) {
      const raw = say(`${text}\r\n\r\n`);
      expect((await raw.answered()).startsWith('HTTP/1.1 400 '), JSON.stringify(text)).toBe(true);
    }
    expect(await ask('GET /%c0%ae%c0%ae/etc/passwd').status()).toBe(404);
    expect(await ask('GET /services/%0d%0aX:%20y').status()).toBe(400);
    expect(await ask('GET /healthz').status()).toBe(200);
  });

  test('lets go of one who never ends its request', async () => {
    const silent = say('');
    const slow = say('GET /healthz HTTP/1.1\r\nHost: local');
    const bodiless = say(
      `PUT /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 5\r\n\r\nde`,
    );
    const dripping = say('GET /healthz HTTP/1.1\r\nHost: localhost\r\n');
    const timer = setInterval(() => dripping.socket.write('X: y\r\n'), 200);
    onTestFinished(() => clearInterval(timer));
    await Promise.all([slow, dripping, bodiless].map((raw) => raw.ended()));
    expect(slow.answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(dripping.answer).toMatch(/^HTTP\/1\.1 408 /);
    await silent.ended(40_000);
  });
});

describe('an admin port', () => {
  async function serve(limits: AdminLimits) {
    const port = await freePort();
    const lines: string[] = [];
    const big = 'x'.repeat(1_000_000);
    const close = await serveAdmin({
      hosts: {
        address: { host: '0.0.0.0', port, family: 'ipv4' },
        hostname: 'x',
        allowed: ['lb.example', '*.internal.example'],
      },
      metrics: new MetricsRegistry(),
      health: () => {
        throw new Error('no health here');
      },
      planner: {} as never,
      views: { queries: {} as never, tail: { after: () => [{ id: 1, line: `{"big":"${big}"}` }] } as never },
      page: '/nowhere',
      logLevel: { level: () => 'info', setLevel: () => undefined },
      token: undefined,
      operations: undefined,
      logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }),
      limits,
    });
    onTestFinished(close);
    return { port, lines };
  }

  test('that others reach answers to addresses, its own name and the names that are given, and to no other', async () => {
    const { port } = await serve(adminLimits);
    const status = (host: string) => new Raw(port, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`).status();
    const own = [
      '10.0.0.5',
      `10.0.0.5:${port}`,
      '[fd00::1]:80',
      'localhost',
      'X:80',
      'lb.example',
      'a.b.internal.example',
    ];
    for (const host of own) expect(await status(host), host).toBe(200);
    const others = [
      'evil.example',
      'internal.example',
      'xinternal.example',
      'x.evil.example',
      '10.0.0.5.evil.example',

      '',
      '0x7f.1',
    ];
    for (const host of others) expect(await status(host), host).toBe(421);
  });

  test('lets go of one who takes no answer', async () => {
    const { port } = await serve({ ...adminLimits, idleMs: 300 });
    const greedy = new Raw(port);
    greedy.socket.pause();
    greedy.socket.write('GET /events HTTP/1.1\r\nHost: lb.example\r\n\r\n'.repeat(20));
    // It does not read, so only by writing it hears that nobody is there any more.
    await until('it is let go', () => {
      greedy.socket.write('G');
      return greedy.closed;
    });
  });

  test('takes 256 connections, refuses the next ones, and says so once', async () => {
    const { port, lines } = await serve(adminLimits);
    const many = Array.from({ length: adminLimits.connections }, () => new Raw(port));
    await until('all are connected', () => many.every(({ socket }) => !socket.connecting));
    const refused = [new Raw(port), new Raw(port), new Raw(port)];
    await Promise.all(refused.map((raw) => raw.ended()));
    expect(many.filter(({ closed }) => closed)).toHaveLength(0);
    for (const { socket } of many) socket.destroy();
    await until('it answers again', async () => (await new Raw(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n').status()) === 200); // biome-ignore format: a line
    expect(lines.filter((line) => line.includes('admin-full'))).toHaveLength(1);
  });

  test('that others reach says what they can read, and tells nothing of a failure to them', async () => {
    const { port, lines } = await serve(adminLimits);
    expect(lines.join()).toContain('can read metrics, status, services');
    const failing = new Raw(port, 'GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await failing.ended();
    expect(failing.answer).toMatch(/^HTTP\/1\.1 500 [\s\S]*the request failed; see the log\n$/);
    expect(lines.join()).toContain('no health here');
  });

  test('without a token only tells', async () => {
    const { port } = await serve(adminLimits);
    const posted = new Raw(port, 'POST /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await posted.ended();
    expect(posted.answer).toMatch(/^HTTP\/1\.1 405 [\s\S]*allow: GET, HEAD\r\n/i);
  });
});

describe('a token file', () => {
  test.each([
    ['missing', undefined, 'the token cannot be read: no such file or directory'],
    ['short', 'abc', 'the token has fewer than 16 characters (create one with openssl rand -hex 32)'],
  ])('that is %s is refused before anything starts', async (_, text, message) => {
    const dir = await mkdtemp(join(tmpdir(), 'pm-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const path = join(dir, 'token');
    if (text !== undefined) await writeFile(path, text);
    const { code, stderr } = await runPointsman(['balance', '--registry', `dir:${dir}`, '--dir', `${dir}/b`, '--admin-token-file', path]); // biome-ignore format: a line
    expect({ code, stderr }).toEqual({ code: 2, stderr: [expect.stringContaining(message)] });
  });
});
