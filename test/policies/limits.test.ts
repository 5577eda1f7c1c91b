import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { connect } from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { sendRaw } from '../support/raw-request.ts';
import { until } from '../support/until.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** The answers that the application `slow` still owes. */
const waiting: (() => void)[] = [];
const answerAll = () => {
  for (const answer of waiting.splice(0)) answer();
};

const served = serveAll(async () => {
  const counting = await startApp('counting', (request, response) => {
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
    });
    request.on('end', () => response.end(String(bytes)));
  });
  counting.server.on('upgrade', ({ headers }, socket) => {
    const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${headers.upgrade}`];
    socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'));
    // Says how much it got once that is more than any limit.
    let bytes = 0;
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes === 100_000) socket.end('got 100000');
    });
  });
  const slow = await startApp('slow', (_, response) => waiting.push(() => response.end('done')));
  closing.push(counting.close, slow.close);
  const a = { a: counting.address };
  return {
    large: { policy: { limits: { body: '64k' } }, instances: a },
    small: { policy: { limits: { body: '1k' } }, instances: a },
    heads: { policy: { limits: { headers: '2k' } }, instances: a },
    busy: { policy: { limits: { requests: 2 } }, instances: { a: slow.address } },
    calm: { policy: { limits: { requests: 2 } }, instances: { a: slow.address } },
    free: { instances: a },
  };
});

const { ask } = served;
const post = (host: string, bytes: number, headers: Readonly<Record<string, string>> = {}) =>
  ask(host, { method: 'POST', body: 'x'.repeat(bytes), headers });
const chunked = { 'Transfer-Encoding': 'chunked' };

/** A request over HTTP/2 that does not say how long its body is. */
function postH2(host: string, bytes: number, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': host, ...headers });
    stream.on('response', ({ ':status': status = 0 }) => {
      resolve(status);
      session.destroy();
    });
    stream.on('error', () => undefined);
    stream.end('x'.repeat(bytes));
  });
}

const rawStatus = async (host: string, lines: readonly string[], body = '') => {
  const head = ['POST / HTTP/1.1', `Host: ${host}`, 'Connection: close', ...lines, '', ''].join('\r\n');
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(await sendRaw(served.balancer.port, head + body, /^HTTP\/1.1 4/))?.[1]);
};

describe('a body', () => {
  test('up to the limit passes, and a larger one gets status 413', async () => {
    expect(await post('large', 65_536)).toMatchObject({ status: 200, body: '65536' });
    expect((await post('large', 65_537)).status).toBe(413);
    expect((await post('free', 65_537)).status).toBe(200);
    expect(await ask('large')).toMatchObject({ status: 200, body: '0' });
  });

  test('without a length passes while it fits into the buffer of HAProxy, and gets status 411 otherwise', async () => {
    expect(await post('large', 8000, chunked)).toMatchObject({ status: 200, body: '8000' });
    expect((await post('large', 9000, chunked)).status).toBe(411);
    expect((await post('large', 2_000_000, chunked)).status).toBe(411);
    expect((await post('large', 0, chunked)).status).toBe(200);
    const long = { ...chunked, 'X-Long': 'x'.repeat(5000) };
    expect((await post('large', 100, long)).status).toBe(411);
  });

  test('without a length gets status 413 if it is larger than the limit', async () => {
    expect((await post('small', 1024, chunked)).status).toBe(200);
    expect((await post('small', 1025, chunked)).status).toBe(413);
    expect((await ask('small', { method: 'GET', body: 'x'.repeat(2000), headers: chunked })).status).toBe(413);
    const websocket = { ...chunked, Connection: 'Upgrade', Upgrade: 'websocket' };
    // From 3.0 on, HAProxy refuses a body next to Upgrade by itself.
    const { status } = await ask('small', { method: 'GET', body: 'x'.repeat(2000), headers: websocket });
    expect([400, 413]).toContain(status);
  });

  test('over HTTP/2 has the same limit', async () => {
    expect(await postH2('large', 65_536, { 'content-length': '65536' })).toBe(200);
    expect(await postH2('large', 65_537, { 'content-length': '65537' })).toBe(413);
    expect(await postH2('large', 8000)).toBe(200);
    expect(await postH2('large', 100_000)).toBe(411);
    expect(await postH2('small', 1025)).toBe(413);
  });

  test('is not what a websocket sends', async () => {
    const lines = ['GET / HTTP/1.1', 'Host: small', 'Connection: Upgrade', 'Upgrade: websocket'];
    const head = [...lines, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13', '', ''];
    const answer = await sendRaw(served.balancer.port, head.join('\r\n') + 'x'.repeat(100_000), /got/);
    expect(answer).toContain('got 100000');
  });

  test('is not what a websocket over HTTP/2 sends', async () => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    const target = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/' };
    const stream = session.request({ ...target, ':authority': 'small', 'sec-websocket-version': '13' });
    let got = '';
    stream.on('data', (part: Buffer) => {
      got += part.toString();
    });
    // HAProxy 3.2 resets the stream if data comes before the answer, also without a limit.
    await new Promise((resolve) => stream.once('response', resolve));
    stream.write('x'.repeat(100_000));
    await until('the application got everything', () => got === 'got 100000');
    session.destroy();
  });

  test.each(['4294967297', '9223372036854775809', '18446744073709551615'])(
    'whose length is written as %s does not pass',
    async (length) => {
      expect(await rawStatus('large', [`Content-Length: ${length}`], 'x')).toBeGreaterThanOrEqual(400);
    },
  );
});

test('headers that are larger than the limit get status 431', async () => {
  expect((await ask('heads', { headers: { 'X-Long': 'x'.repeat(1500) } })).status).toBe(200);
  expect((await ask('heads', { headers: { 'X-Long': 'x'.repeat(2048) } })).status).toBe(431);
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`X-${i}`, 'x'.repeat(40)]));
  expect((await ask('heads', { headers: many })).status).toBe(431);
});

describe('requests at once', () => {
  test('are limited for each client, and end with their answers', async () => {
    const open = [ask('busy'), ask('busy')];
    await until('two requests are open', () => waiting.length === 2);
    const third = await ask('busy');
    expect(third).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    const other = ask('busy', { from: '127.0.0.2' });
    const elsewhere = ask('calm');
    await until('other clients and services are not limited', () => waiting.length === 4);
    answerAll();
    expect((await Promise.all([...open, other, elsewhere])).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const again = ask('busy');
    await until('it is open', () => waiting.length === 1);
    answerAll();
    expect((await again).status).toBe(200);
  });

  test('are not the idle connections of a client', async () => {
    const agent = new Agent({ keepAlive: true });
    for (let i = 0; i < 3; i += 1) {
      const open = [1, 2].map(() => exchange(served.balancer.port, { host: 'busy', agent }));
      await until('both are open', () => waiting.length === 2);
      answerAll();
      for (const { status } of await Promise.all(open)) expect(status).toBe(200);
    }
    agent.destroy();
  });

  test('are also the streams of one HTTP/2 connection', async () => {
    const session = connect(`http://127.0.0.1:${served.balancer.port}`);
    const found: number[] = [];
    const streams = [1, 2, 3, 4].map(() => {
      const stream = session.request({ ':path': '/', ':authority': 'busy' });
      stream.on('response', ({ ':status': status = 0 }) => found.push(status));
      stream.resume();
      return new Promise((resolve) => stream.on('close', resolve));
    });
    await until('two are open and two refused', () => waiting.length === 2 && found.length === 2);
    expect(found).toEqual([429, 429]);
    answerAll();
    await Promise.all(streams);
    expect(found).toEqual([429, 429, 200, 200]);
    session.destroy();
  });
});
