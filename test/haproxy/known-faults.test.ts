import { Agent } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readVersion } from '../../src/haproxy/check.ts';
import { deletesSafely } from '../../src/haproxy/known-faults.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin, startBalancer, type TestBalancer } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/until.ts';

const deletes = deletesSafely(await readVersion(haproxyBin));
const unchecked = JSON.stringify({ check: { kind: 'none' } });

describe('faults of HAProxy with servers that come and go are not met', () => {
  let balancer: TestBalancer;
  let commands: string[];

  beforeEach(async () => {
    commands = [];
    balancer = await startBalancer({ guard: { share: 1 }, onCommand: (line) => commands.push(line) });
  });
  afterEach(async (context) => {
    if (context.task.result?.state === 'fail') process.stderr.write(balancer.lines.slice(-60).join(''));
    await balancer.stop();
  });

  const worker = async () => (await balancer.haproxy.processes())?.workerPid;

  /** A client that asks HAProxy for all servers, and is slow to read the answer. */
  async function startSlowReader(command: string) {
    const socket = connect(balancer.paths.runtimeSocket);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.on('error', () => undefined);
    socket.write(`${Array.from({ length: 8 }, () => command).join(';')}\n`);
    await until('HAProxy answers', () => bytes > 0);
    socket.pause();
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    return async () => {
      socket.resume();
      await closed;
      return bytes;
    };
  }

  test('servers leave while others read what HAProxy says of all servers', async () => {
    const ids = Array.from({ length: 1010 }, (_, i) => `an-instance-with-quite-a-long-name-${i}`);
    const some = (from: number, to: number, address?: string) =>
      Object.fromEntries(ids.slice(from, to).map((id) => [`instances/web/${id}`, address]));
    balancer.snapshot({ 'services/web': unchecked, ...(some(0, 1010, '127.0.0.1:9') as Record<string, string>) });
    await balancer.balancer.start();
    const serving = await worker();
    const readers = await Promise.all(['show stat', 'show servers state', 'show servers conn'].map(startSlowReader));

    balancer.change(some(0, 900));
    await balancer.applied();
    for (const finish of readers) expect(await finish()).toBeGreaterThan(200_000);
    expect(await worker()).toBe(serving);
    expect(await balancer.metric('reloads_total')).toBe(0);
    expect(await balancer.metric('lingering_servers')).toBe(deletes ? 0 : 900);
    expect(commands.some((line) => line.includes('del server'))).toBe(deletes);

    // Servers that cannot be deleted do not become more and more.
    balancer.change(some(900, 1005));
    await balancer.applied();
    await until('none is left', async () => (await balancer.metric('lingering_servers')) === 0);
    expect(await balancer.metric('reload_reasons_total', { reason: 'retired' })).toBe(deletes ? 0 : 1);
    expect(balancer.balancer.status().served.backends.get('web' as never)?.servers.size).toBe(5);
  });

  test('requests wait to try a server again that leaves meanwhile', async () => {
    const refusing = `127.0.0.1:${await freePort()}`;
    const app = await startApp('a');
    balancer.snapshot({ 'services/web': unchecked, 'instances/web/gone': refusing });
    await balancer.balancer.start();
    const serving = await worker();
    const requests = Array.from({ length: 20 }, () => ask(balancer.port, 'web'));
    const retries = async () => {
      const [stat = ''] = await balancer.command('show stat web 4 -1');
      const [heading = '', row = ''] = stat.split('\n');
      return Number(row.split(',')[heading.split(',').indexOf('wretr')]);
    };
    await until('all were refused once', async () => (await retries()) + (await redispatches(balancer)) >= 20);
    balancer.change({ 'instances/web/gone': undefined, 'instances/web/a': app.address });
    await balancer.applied();
    const answers = await Promise.all(requests);
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['a']));
    expect(await worker()).toBe(serving);
    await app.close();
  });

  test('no server waits for its turn while the others get all requests', async () => {
    const counts = new Map<string, number>();
    const names = ['a', 'b', 'c', 'd'];
    const apps = await Promise.all(
      names.map((name) =>
        startApp(name, (_, response) => {
          counts.set(name, (counts.get(name) ?? 0) + 1);
          response.end(name);
        }),
      ),
    );
    const agent = new Agent({ keepAlive: true });
    const send = async (requests: number) => {
      for (let i = 0; i < requests; i += 1) expect((await ask(balancer.port, 'web', '/', { agent })).status).toBe(200);
    };
    const entries = apps.map(({ name, address }) => [`instances/web/${name}`, JSON.stringify({ address, weight: 30 })]);
    const left = entries.slice(0, 2).map(([key]) => [key, undefined]);
    balancer.snapshot({ 'services/web': unchecked, ...(Object.fromEntries(entries) as Record<string, string>) });
    await balancer.balancer.start();
    const serving = await worker();

    // HAProxy gives out places for 30 × 16 requests of each server. After half of them, it has none left when half of the servers leave.
    await Promise.all(Array.from({ length: 10 }, () => send(100)));
    balancer.change(Object.fromEntries(left));
    await balancer.applied();
    // So the next place of c and d is among those that it gives out next. But a and b come back, and there are places left again.
    await send(2);
    balancer.change(Object.fromEntries(entries));
    await balancer.applied();
    await until('pointsman looks at the servers', () => commands.includes('show stat web 4 -1'));
    counts.clear();
    await send(20);
    expect(counts.size).toBe(2);

    // Without new places, c and d wait until a and b got 470 requests. No request fails while they get new places.
    const renewed = (name: string) => commands.includes(`set server web/${name} weight 29`);
    await until('c and d get new places', () => send(1).then(() => renewed('c') && renewed('d')));
    expect(renewed('a') || renewed('b')).toBe(false);
    counts.clear();
    await send(40);
    expect(
      [...counts.values()].every((count) => count >= 8),
      JSON.stringify([...counts]),
    ).toBe(true);
    expect(await worker()).toBe(serving);
    const [state = ''] = await balancer.command('show servers state web');
    // The weight that HAProxy uses, as pointsman set it.
    expect([...state.matchAll(/^(?:\S+ ){7}30 /gm)]).toHaveLength(4);
    agent.destroy();
    await Promise.all(apps.map((app) => app.close()));
  });

  test('a server that left is there again when its name comes back', async () => {
    const [a, b] = await Promise.all([startApp('a'), startApp('b')]);
    balancer.snapshot({ 'services/web': unchecked, 'instances/web/one': a.address, 'instances/web/two': b.address });
    await balancer.balancer.start();
    for (const address of [undefined, b.address, undefined, a.address]) {
      balancer.change({ 'instances/web/one': address });
      await balancer.applied();
    }
    const bodies = new Set<string>();
    for (let i = 0; i < 12; i += 1) bodies.add((await ask(balancer.port, 'web')).body);
    expect([...bodies].sort()).toEqual(['a', 'b']);
    // Before 3.0, each of the two returns was at another address than the leave, and requests may go on to that one.
    if (!/^2\./.test(await readVersion(haproxyBin))) expect(await balancer.metric('reloads_total')).toBe(0);
    await Promise.all([a.close(), b.close()]);
  });
});

async function redispatches(balancer: TestBalancer): Promise<number> {
  const [stat = ''] = await balancer.command('show stat web 2 -1');
  const [heading = '', row = ''] = stat.split('\n');
  return Number(row.split(',')[heading.split(',').indexOf('wredis')]);
}
