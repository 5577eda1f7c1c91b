import { afterAll, describe, expect, test } from 'vitest';
import { serveAll } from '../support/policies.ts';
import { freePorts } from '../support/ports.ts';
import { openTcp, startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

let app: Awaited<ReturnType<typeof startTcpEcho>>;
let ports: readonly number[];
let first: typeof app;
afterAll(() => Promise.all([app.close(), first.close()]));

serveAll(async () => {
  app = await startTcpEcho();
  first = await startTcpEcho((socket) => socket.write('welcome\n'));
  ports = await freePorts(5);
  const service = (index: number, more: object) => ({
    policy: { mode: 'tcp', port: ports[index], ...more },
    instances: { a: app.address },
  });
  return {
    db: service(0, {}),
    inside: service(1, { access: { allow: ['127.0.0.0/30'], deny: ['127.0.0.2'] } }),
    rated: service(2, { rateLimit: { requests: 2, per: '1h' } }),
    'speaks-first': { policy: { mode: 'tcp', port: ports[4] }, instances: { a: first.address } },
    idle: service(3, { timeouts: { tunnel: '1s', client: '1s', server: '1s' } }),
  };
});

const portOf = (index: number) => ports[index] ?? 0;

/** Whether what is sent comes back; the connection is closed afterwards. */
async function echoes(port: number, from?: string): Promise<boolean> {
  const connection = openTcp(port, from === undefined ? {} : { from });
  connection.send('hello\n');
  const answered = until('an answer', () => connection.received() === 'hello\n');
  const answer = await Promise.race([answered, connection.closed.then(() => false)]);
  await connection.close();
  answered.catch(() => undefined);
  return answer;
}

describe('a tcp service', () => {
  test('has a port of its own and passes bytes both ways', async () => {
    expect(await echoes(portOf(0))).toBe(true);
  });

  test('may say the first word', async () => {
    const connection = openTcp(portOf(4));
    await until('it says welcome', () => connection.received() === 'welcome\n');
    await connection.close();
  });

  test('is for those who are allowed and not denied', async () => {
    expect(await echoes(portOf(1), '127.0.0.1')).toBe(true);
    expect(await echoes(portOf(1), '127.0.0.2')).toBe(false);
    expect(await echoes(portOf(1), '127.0.0.4')).toBe(false);
  });

  test('takes so many connections of one source', async () => {
    const from = '127.0.0.5';
    expect([await echoes(portOf(2), from), await echoes(portOf(2), from)]).toEqual([true, true]);
    expect(await echoes(portOf(2), from)).toBe(false);
    expect(await echoes(portOf(2), '127.0.0.6')).toBe(true);
  });

  test('closes a connection on which nobody says anything', async () => {
    const connection = openTcp(portOf(3));
    connection.send('hello\n');
    await until('it is open both ways', () => connection.received() === 'hello\n');
    await connection.closed;
  });
});
