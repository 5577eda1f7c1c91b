import { createServer, type Server } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import type { TestBalancer } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
import { watchConnections } from '../support/requests.ts';
import { answers, holds, reloadingPolicy, startOwnBalancer, startServing } from '../support/serving.ts';
import { takenPort, tcp } from '../support/taken-port.ts';
import { until } from '../support/until.ts';

test('a port that somebody else has keeps back its own service alone, and no connection is refused', async () => {
  const { app, balancer } = await startServing({ retryMs: 200 });
  await balancer.applied();
  const { port, free } = await takenPort();
  const watch = watchConnections(balancer.port);
  balancer.change({ 'services/db': tcp(port), 'instances/db/a': app.address });
  balancer.change({ 'services/api': reloadingPolicy(1), 'instances/api/a': app.address });
  await holds(balancer, 'services/db: nothing');
  await answers(balancer.port, 'api');
  const [db] = balancer.balancer.status().quarantined;
  expect(db?.reason).toContain(`cannot listen on 127.0.0.1:${port}: it is in use by`);
  expect(db?.reason).toContain(`(process ${process.pid})`);
  balancer.change({ 'instances/web/b': app.address });
  await until('the new instance serves', async () => (await balancer.config()).includes('server b '));
  await free();
  await answers(port, 'db');
  await holds(balancer);
  await balancer.applied();
  expect(await watch.stop()).toMatchObject({ refused: 0 });
  expect(await balancer.metric('reloads_total', { result: 'failed' })).toBe(0);
  expect(await balancer.metric('reload_last_failed')).toBe(0);
});

test('a service keeps its port while somebody else has the one that it is to have', async () => {
  const first = await freePort();
  const { app, balancer } = await startServing({ retryMs: 200 });
  balancer.change({ 'services/db': tcp(first), 'instances/db/a': app.address });
  await answers(first, 'db');
  await balancer.applied();
  const { port, free } = await takenPort();
  balancer.change({ 'services/db': tcp(port) });
  await holds(balancer, 'services/db: last-good');
  await answers(first, 'db');
  await free();
  await answers(port, 'db');
});

/**
 * Ends HAProxy and takes its ports before it is started again, so that the first start fails whatever is left out. Then `meanwhile`
 * changes something, and the port for HTTP is free again. Gives what frees the others.
 */
async function takenWhileHaproxyIsDown(balancer: TestBalancer, ports: readonly number[], meanwhile: () => void) {
  const { haproxy } = balancer;
  const own = createServer();
  const others = ports.map(() => createServer());
  const listen = (server: Server, port: number | undefined) =>
    new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const close = (server: Server) => new Promise<void>((resolve) => void server.close(() => resolve()));
  const free = async () => void (await Promise.all([own, ...others].map(close)));
  onTestFinished(free);
  const start = haproxy.start.bind(haproxy);
  haproxy.start = async () => {
    haproxy.start = start;
    await Promise.all([listen(own, balancer.port), ...others.map((server, i) => listen(server, ports[i]))]);
    return start();
  };
  const { masterPid = 0, workerPid = 0 } = (await haproxy.processes()) ?? {};
  for (const pid of [masterPid, workerPid]) signal(pid, 'SIGKILL');
  await until('a start failed', () => balancer.lines.some((line) => line.includes('"code":"address-in-use"')));
  meanwhile();
  await close(own);
  return free;
}

test('HAProxy starts with the newest policies, and without a service whose newest and last good policies have a port that is taken', async () => {
  const [first, second] = [await freePort(), await freePort()];
  const { app, balancer } = await startServing({ retryMs: 200 });
  balancer.change({ 'services/db': tcp(first), 'instances/db/a': app.address });
  balancer.change({ 'services/more': tcp(second), 'instances/more/a': app.address });
  await Promise.all([answers(first, 'db'), answers(second, 'more')]);
  await balancer.applied();
  const newer = JSON.stringify({ mode: 'tcp', port: second, balance: 'leastconn' });
  const free = await takenWhileHaproxyIsDown(balancer, [first, second], () =>
    balancer.change({ 'services/db': reloadingPolicy(1), 'services/more': newer }),
  );
  await Promise.all([answers(balancer.port, 'web'), answers(balancer.port, 'db')]);
  await holds(balancer, 'services/more: nothing');
  await free();
  await answers(second, 'more');
  await holds(balancer);
});

test('HAProxy starts without a port that cannot be had: at first, when it ended, and after a take-over', async () => {
  const { port, free } = await takenPort();
  // Nothing else is there, and nothing was ever good.
  const { app, balancer } = await startServing(
    { retryMs: 200 },
    { 'services/db': tcp(port), 'instances/db/a': '127.0.0.1:1' },
  );
  await answers(balancer.port, 'web');
  await holds(balancer, 'services/db: nothing');
  const { masterPid = 0, workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
  for (const pid of [masterPid, workerPid]) signal(pid, 'SIGKILL');
  await until('another HAProxy runs', async () => {
    const pid = (await balancer.haproxy.processes())?.workerPid;
    return pid !== undefined && pid !== workerPid;
  });
  await answers(balancer.port, 'web');

  const other = await takenPort();
  balancer.change({ 'services/db': tcp(port), 'services/more': tcp(other.port), 'instances/more/a': app.address });
  await holds(balancer, 'services/db: nothing', 'services/more: nothing');
  await balancer.applied();
  await balancer.balancer.stop(0, 'leave');
  const second = await startOwnBalancer({ retryMs: 200, dir: balancer.dir, port: balancer.port });
  second.snapshot({
    ...{ 'instances/web/a': app.address, 'instances/web/b': app.address },
    ...{ 'services/db': tcp(port), 'instances/db/a': app.address },
    ...{ 'services/more': tcp(other.port), 'instances/more/a': app.address },
    ...{ 'services/new': reloadingPolicy(1), 'instances/new/a': app.address },
  });
  await second.balancer.start();
  await answers(second.port, 'new');
  await holds(second, 'services/db: nothing', 'services/more: nothing');
  await Promise.all([free(), other.free()]);
  await answers(port, 'db');
  await answers(other.port, 'more');
});
