import { once } from 'node:events';
import { Agent, get, type IncomingMessage, type Server } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { sendRaw } from '../support/raw-request.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

/** A balancer with an application that answers /slow after 1 s. */
async function startLeaving(
  lameDuck: string,
  prepare: (server: Server) => unknown = () => undefined,
  ...more: readonly string[]
) {
  const scenario = await startScenario('folder');
  const app = await startApp('app', (req, res) => setTimeout(() => res.end('app'), req.url === '/slow' ? 1000 : 0));
  prepare(app.server);
  onTestFinished(() => app.close());
  await scenario.writeByHand('instances/web/web-1', app.address);
  const balancer = scenario.balancer('--haproxy', haproxyBin, '--lame-duck', lameDuck, ...more);
  await scenario.serves('web', ['app']);
  await balancer.logged('serving');
  return { scenario, balancer };
}

/** One request on a connection that the agent keeps; what the answer says of the connection. */
async function askKept(agent: Agent, port: number): Promise<string | undefined> {
  const [answer] = (await once(get({ port, host: '127.0.0.1', headers: { host: 'web' }, agent }), 'response')) as [
    IncomingMessage,
  ];
  answer.resume();
  await once(answer, 'end');
  expect(answer.statusCode).toBe(200);
  return answer.headers.connection;
}

function openHttp2(port: number) {
  const session = connect(`http://127.0.0.1:${port}`);
  const seen = { goaway: false };
  session.on('error', () => undefined).on('goaway', () => Object.assign(seen, { goaway: true }));
  onTestFinished(() => session.destroy());
  return { session, seen };
}

async function askHttp2(session: ClientHttp2Session): Promise<unknown> {
  const stream = session.request({ ':path': '/', ':authority': 'web' });
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  stream.resume();
  await once(stream, 'end');
  return headers[':status'];
}

test('after SIGTERM a balancer is not ready at once, serves on, and asks each client to close its connection', async () => {
  const { scenario, balancer } = await startLeaving('1m');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const kept = openHttp2(scenario.http);
  expect(await askKept(agent, scenario.http)).toBe(undefined);
  expect(await askHttp2(kept.session)).toBe(200);

  balancer.kill('SIGTERM');
  await balancer.logged('leaving');
  const { status, body } = await scenario.askAdmin('/readyz');
  expect({ status, body }).toMatchObject({
    status: 503,
    body: expect.stringMatching(/^leaving: stops in \d\d\.\d s\n$/),
  });
  expect((await scenario.askAdmin('/serving')).status).toBe(503);
  expect((await scenario.askAdmin('/metrics')).body).toMatch(/^pointsman_leaving 1$/m);

  await balancer.logged('reloaded');
  expect(await askKept(agent, scenario.http)).toBe('close');
  // HAProxy before 3.0 tells a client that is idle by itself.
  if (!kept.session.closed) expect(await askHttp2(kept.session)).toBe(200);
  await until('a client of HTTP/2 from before is asked', () => kept.seen.goaway);
  expect(await askKept(agent, scenario.http)).toBe('close');
  const fresh = openHttp2(scenario.http);
  expect(await askHttp2(fresh.session)).toBe(200);
  await until('a new client of HTTP/2 is asked', () => fresh.seen.goaway);

  // Changes still arrive.
  await scenario.writeByHand('instances/web/web-1', '127.0.0.1:1');
  await until('a change is served', async () => (await scenario.ask('web')).status === 503);
  expect(balancer.log.some(({ event }) => event === 'stopping')).toBe(false);

  balancer.kill('SIGTERM');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  await expect(scenario.ask('web')).rejects.toThrow('ECONNREFUSED');
});

test('a second SIGTERM cuts the lame duck short, and open requests finish', async () => {
  const { scenario, balancer } = await startLeaving('1h');
  balancer.kill('SIGTERM');
  await balancer.logged('leaving');
  await balancer.logged('reloaded');
  const open = ask(scenario.http, 'web', '/slow', { agent: false, deadlineMs: 20_000 });
  await pause(200);
  balancer.kill('SIGTERM');
  await balancer.logged('stopping');
  expect(await open).toEqual({ status: 200, body: 'app' });
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
});

test('SIGUSR2 in the lame duck calls the stop off: HAProxy goes on, and the next pointsman is ready', async () => {
  const { scenario, balancer } = await startLeaving('1h');
  balancer.kill('SIGTERM');
  await balancer.logged('leaving');
  await balancer.logged('reloaded');
  balancer.kill('SIGUSR2');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  expect(await scenario.answers('web')).toEqual(['app']);

  const next = scenario.balancer('--haproxy', haproxyBin, '--lame-duck', '1h');
  await next.logged('haproxy-adopted');
  await next.logged('reloaded');
  expect((await scenario.askAdmin('/readyz')).status).toBe(200);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  expect(await askKept(agent, scenario.http)).toBe(undefined);
});

test('with --on-stop leave, SIGTERM hands over at once, and tells nothing of a lame duck', async () => {
  const { scenario, balancer } = await startLeaving('1h', () => undefined, '--on-stop', 'leave');
  const reloads = balancer.log.filter(({ event }) => event === 'reloaded').length;
  balancer.kill('SIGTERM');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  expect(await scenario.answers('web')).toEqual(['app']);
  expect(balancer.log.filter(({ event }) => event === 'leaving')).toEqual([]);
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toHaveLength(reloads);
});

test('a connection that becomes a websocket is not closed by the answer that upgrades it', async () => {
  const { scenario, balancer } = await startLeaving('1h', (server) =>
    server.on('upgrade', (_, socket) => {
      const accept = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
      const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket', accept, '', ''];
      socket.write(lines.join('\r\n'));
      socket.pipe(socket);
    }),
  );
  balancer.kill('SIGTERM');
  await balancer.logged('reloaded');
  const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  const head = ['GET /socket HTTP/1.1', 'Host: web', 'Connection: Upgrade', 'Upgrade: websocket', ...key];
  const answer = await sendRaw(scenario.http, [...head, '', 'hello'].join('\r\n'), /hello$/);
  expect(answer).toMatch(/^HTTP\/1\.1 101 .*\r\n(.*\r\n)*connection: upgrade\r\n(.*\r\n)*\r\nhello$/i);
  balancer.kill('SIGTERM');
  expect((await balancer.ended).code).toBe(0);
});
