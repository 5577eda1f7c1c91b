import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { ServingObserver } from '../../src/balance/observe/serving-observer.ts';
import { readVersion } from '../../src/haproxy/check.ts';
import { deletesSafely } from '../../src/haproxy/known-faults.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin, type TestBalancer, type TestBalancerOptions } from '../support/balancer.ts';
import { freePorts } from '../support/ports.ts';
import { logged, reloadingPolicy, startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';

/** A balancer with the services `evil` and `web`, and an application that takes whatever connection is upgraded. */
async function start(options: TestBalancerOptions) {
  const app = await startApp('app');
  const tunnels = new Set<Socket>();
  app.server.on('upgrade', (_, socket: Socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    tunnels.add(socket);
  });
  onTestFinished(async () => {
    for (const socket of tunnels) socket.destroy();
    await app.close();
  });
  const balancer = await startOwnBalancer({ baseSettings: { hardStopAfterMs: 60_000 }, ...options });
  balancer.snapshot({ 'instances/web/a': app.address, 'instances/evil/a': app.address });
  await balancer.balancer.start();
  await balancer.applied();
  return { app, balancer };
}

/** Opens a connection as a websocket is one, through the worker that serves now. */
async function openTunnel({ port }: TestBalancer): Promise<Socket> {
  const socket = createConnection(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: evil\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(String(answer)).toContain(' 101 ');
  return socket;
}

const reloads = (balancer: TestBalancer) => balancer.metric('reloads_total', { result: 'ok' });
const reloaded = (balancer: TestBalancer, times: number) =>
  until(`${times} reloads`, async () => (await reloads(balancer)) >= times);
const troubles = (balancer: TestBalancer) =>
  new Map(balancer.balancer.status().troubles.map(({ part, reason }) => [part, reason]));

test('a service whose policy changes without end gets few reloads, and a change of another one does not wait', async () => {
  const { app, balancer } = await start({ servicePace: { burst: 2, everyMs: 60_000 } });
  for (let n = 1; n <= 2; n += 1) {
    balancer.change({ 'services/evil': reloadingPolicy(n) });
    await reloaded(balancer, n);
  }
  for (let n = 3; n <= 20; n += 1) balancer.change({ 'services/evil': reloadingPolicy(n) });
  await until('it is told', () => troubles(balancer).get('reload-pace')?.startsWith('evil: after 2 reloads'));
  expect(logged(balancer, 'reload-paced')).toEqual([expect.objectContaining({ service: 'evil' })]);
  // Its instances go on changing, and its former policy serves.
  balancer.change({ 'instances/evil/b': app.address });
  const { status } = balancer.balancer;
  const served = () => status.call(balancer.balancer).served.backends;
  await until('evil/b is served', () =>
    [...served()].some(([name, { servers }]) => name === 'evil' && servers.size === 2),
  );
  expect(await reloads(balancer)).toBe(2);
  expect(balancer.balancer.status().paced.size).toBe(1);

  const since = performance.now();
  balancer.change({ 'services/web': JSON.stringify({ hosts: ['web.example'], check: { kind: 'http', path: '/' } }) });
  await until('the other service has its policy', async () => (await ask(balancer.port, 'web.example')).status === 200);
  expect(performance.now() - since).toBeLessThan(20_000);
  // The changes that waited were part of that reload.
  await reloaded(balancer, 3);
  expect(await reloads(balancer)).toBe(3);
  await until('nothing waits', () => balancer.balancer.status().pending.length === 0);
});

test('services whose ports change without end get few reloads, too, and one reason stands for all of these', async () => {
  const { app, balancer } = await start({ servicePace: { burst: 1, everyMs: 60_000 } });
  const tcp = (port: number) => JSON.stringify({ mode: 'tcp', port });
  const [first = 0, second = 0, third = 0, fourth = 0] = await freePorts(4);
  balancer.change({ 'services/db': tcp(first), 'instances/db/a': app.address });
  balancer.change({ 'services/mq': tcp(second), 'instances/mq/a': app.address });
  await reloaded(balancer, 1);
  await balancer.applied();
  const before = await reloads(balancer);
  const { balancer: inner } = balancer;
  balancer.change({ 'services/db': tcp(third) });
  await until('db waits', () => inner.status().pending.join() === 'the port of db changed');
  balancer.change({ 'services/mq': tcp(fourth) });
  await until('mq waits with it', () => inner.status().pending.join() === 'the port of db, mq changed');
  expect([...inner.status().paced.keys()]).toEqual(['db', 'mq']);
  expect(await reloads(balancer)).toBe(before);
});

test('workers of earlier reloads are bounded: the oldest end, and it is told whose reloads left them', async () => {
  const { balancer } = await start({ mostOldWorkers: 3 });
  const tunnels: Socket[] = [];
  for (let n = 1; n <= 5; n += 1) {
    tunnels.push(await openTunnel(balancer));
    balancer.change({ 'services/evil': reloadingPolicy(n) });
    await reloaded(balancer, n);
    await balancer.applied();
  }
  const [first, second, third, , last] = tunnels;
  await until('the oldest two have ended', () => first?.closed === true && second?.closed === true);
  expect([third?.closed, last?.closed]).toEqual([false, false]);
  expect(logged(balancer, 'old-worker-ended')).toEqual([
    expect.objectContaining({ services: ['evil'] }),
    expect.objectContaining({ services: ['evil'] }),
  ]);
  await until('it is told whose they are', () =>
    troubles(balancer)
      .get('old-workers')
      ?.startsWith('3 workers of earlier reloads finish their connections (3 since reloads for evil)'),
  );
  expect(await balancer.metric('haproxy_old_workers')).toBe(3);
  expect((await ask(balancer.port, 'web')).status).toBe(200);
});

test('while there are many old workers, the reloads that one service needs are further apart, and those of others are not', async () => {
  const { balancer } = await start({ mostOldWorkers: 4, servicePace: { burst: 100, everyMs: 1 } });
  for (let n = 1; n <= 2; n += 1) {
    await openTunnel(balancer);
    balancer.change({ 'services/evil': reloadingPolicy(n) });
    await reloaded(balancer, n);
    await balancer.applied();
  }
  balancer.change({ 'services/evil': reloadingPolicy(3) });
  await until('it waits', () => balancer.balancer.status().paced.size === 1);
  expect(troubles(balancer).get('reload-pace')).toContain('reloads for one service are 30s apart');
  balancer.change({ 'services/web': reloadingPolicy(4) });
  await reloaded(balancer, 3);
  await balancer.applied();
});

/** A policy with 5,000 routes, none of which is in that of another letter. */
const manyRoutes = (letter: string) => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const hosts = numbers(8).map((i) => `${letter}${i}.*`);
  const domains = numbers(8).map((i) => `*.${letter}${i}.example`);
  const paths = numbers(63).map((i) => `/p${i}`);
  const others = { hosts: numbers(8).map((i) => `${letter}${i}.test`), paths: numbers(62).map((i) => `/q${i}`) };
  return JSON.stringify({ routes: [{ hosts, paths, strip: true }, { hosts: domains, priority: -1 }, others] });
};

test('a service with very many routes that change without end gets few reloads, and the routes of others go on changing', async () => {
  const { balancer } = await start({ servicePace: { burst: 1, everyMs: 60_000 } });
  balancer.change({ 'services/evil': manyRoutes('a') });
  await reloaded(balancer, 1);
  await balancer.applied();
  for (const letter of ['b', 'c', 'd']) {
    balancer.change({ 'services/evil': manyRoutes(letter) });
    await until('it waits', () => balancer.balancer.status().paced.has('evil' as never));
  }
  expect(balancer.balancer.status().pending).toEqual(['many routes of evil changed at once']);
  balancer.change({ 'services/web': JSON.stringify({ hosts: ['web.example', 'b0.x'] }) });
  await until('the routes of web change', async () => (await ask(balancer.port, 'web.example')).status === 200);
  expect(await reloads(balancer)).toBe(1);
});

test.skipIf(deletesSafely(await readVersion(haproxyBin)))(
  'a service whose instances come and go without end gets few reloads, and those of others go on',
  async () => {
    const { app, balancer } = await start({ guard: { share: 1 }, servicePace: { burst: 1, everyMs: 60_000 } });
    const some = (round: string, address?: string) =>
      Object.fromEntries(Array.from({ length: 1010 }, (_, i) => [`instances/evil/${round}${i}`, address]));
    const comeAndGo = async (round: string) => {
      balancer.change(some(round, app.address) as Record<string, string>);
      await until('they are served', () => sizeOf(balancer, 'evil') === 1011);
      balancer.change(some(round));
      await until('they are gone', () => sizeOf(balancer, 'evil') === 1);
    };
    await comeAndGo('a');
    await reloaded(balancer, 1);
    await balancer.applied();
    await comeAndGo('b');
    await until('it waits', () => balancer.balancer.status().paced.has('evil' as never));
    await comeAndGo('c');
    balancer.change({ 'instances/evil/late': app.address, 'instances/web/late': app.address });
    await until('the new instance of web is served', () => sizeOf(balancer, 'web') === 2);
    expect(sizeOf(balancer, 'evil')).toBe(1);
    expect(await reloads(balancer)).toBe(1);
    expect(await balancer.metric('lingering_servers')).toBe(2020);
    // The reload that another service needs takes them away.
    balancer.change({ 'services/web': reloadingPolicy(1) });
    await until('the late one is served', () => sizeOf(balancer, 'evil') === 2);
    expect(await reloads(balancer)).toBe(2);
  },
);

test('a change of one service is made among thousands of changes of another one, and acknowledged before these are', async () => {
  const thousands = 2000;
  let onFirst: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    onFirst = resolve;
  });
  const commands: string[] = [];
  const onCommand = (line: string) => {
    commands.push(line);
    // A round ends after 250 ms, and on a quick machine all of them would fit into one.
    for (const until = performance.now() + 0.1; performance.now() < until; );
    if (line.startsWith('add server evil/')) onFirst();
  };
  const { app, balancer } = await start({ onCommand });
  const told: { readonly refused: readonly string[]; readonly web?: number; readonly evil?: number }[] = [];
  const settled: ServingObserver['onServed'] = (_, shortfall) => {
    const refused = [...new Set(shortfall.unserved.map(({ key }) => key.split('/')[1] ?? ''))];
    told.push({ refused, web: sizeOf(balancer, 'web') ?? 0, evil: sizeOf(balancer, 'evil') ?? 0 });
  };
  balancer.balancer.observe({ onApplied: () => undefined, onServed: settled, trouble: undefined });
  // Not by a poll: on a busy machine, the thousands would be made before it looks.
  const changed = first.then(() => balancer.change({ 'instances/web/late': app.address }));
  balancer.change(
    Object.fromEntries(Array.from({ length: thousands }, (_, i) => [`instances/evil/i${i}`, app.address])),
  );
  await changed;
  await until('all are served', () => told.at(-1)?.web === 2 && told.at(-1)?.refused.length === 0, {
    deadlineMs: 30_000,
  });
  const withWeb = told.filter(({ web }) => web === 2);
  expect(withWeb[0]).toEqual({ refused: ['evil'], web: 2, evil: expect.any(Number) });
  expect(withWeb[0]?.evil).toBeLessThan(thousands + 1);
  expect(withWeb.at(-1)).toEqual({ refused: [], web: 2, evil: thousands + 1 });
  expect(withWeb.filter(({ refused, evil }) => refused.length === 0 && evil !== thousands + 1)).toEqual([]);
  expect(commands.filter((line) => line.startsWith('add server ')).length).toBe(thousands + 1);
});

const sizeOf = ({ balancer }: TestBalancer, name: string) =>
  balancer.status().served.backends.get(name as never)?.servers.size;
