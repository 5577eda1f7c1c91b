import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/process-signal.ts';
import { connectRuntime } from '../../src/haproxy/runtime-connection.ts';
import { loadTemplates } from '../../src/render/load-templates.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { haproxyBin, startBalancer, type TestBalancer } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
import { watchConnections } from '../support/requests.ts';
import { until } from '../support/until.ts';

const shipped = join(import.meta.dirname, '../../templates');

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'pm-failing-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** A balancer that serves `web`. */
async function start(options: Parameters<typeof startBalancer>[0] = {}, more: Readonly<Record<string, string>> = {}) {
  const app = await startApp('app');
  const balancer = await startBalancer({ probeMs: 200, ...options });
  onTestFailed(() => void process.stderr.write(balancer.lines.slice(-80).join('')));
  onTestFinished(async () => {
    await balancer.stop();
    await app.close();
  });
  balancer.snapshot({ 'instances/web/a': app.address, ...more });
  await balancer.balancer.start();
  return { app, balancer };
}

/** A port that this process listens on. */
async function takenPort() {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const free = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  onTestFinished(() => void server.close());
  return { port, free };
}

const tcp = (port: number) => JSON.stringify({ mode: 'tcp', port });
/** A different one for each number, which no HAProxy can take up without a reload. */
const policy = (n: number) => JSON.stringify({ check: { kind: 'http', path: `/${n}` } });

const answers = (port: number, host: string, body = 'app') =>
  until(`${host} answers`, async () => (await ask(port, host)).body === body);

const held = ({ balancer }: TestBalancer) => balancer.status().quarantined;
const holds = (balancer: TestBalancer, ...keys: readonly string[]) =>
  until(
    `${keys.join()} are held`,
    () =>
      held(balancer)
        .map(({ key }) => key)
        .sort()
        .join() === [...keys].sort().join(),
  );

/** An HAProxy of which some starts go another way: `when` is shell, with `"$@"`. */
async function wrapped(when: string): Promise<string> {
  const path = join(await folder(), 'haproxy');
  await writeFile(path, `#!/bin/bash\n${when}\nexec ${haproxyBin} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}
/** HAProxy is not asked what only a start tells, as where it runs on another machine than pointsman. */
const blind = 'case "$*" in *.probe) exit 0;; esac';

test('a port that somebody else has keeps back its own service alone, and no connection is refused', async () => {
  const { app, balancer } = await start();
  await balancer.applied();
  const { port, free } = await takenPort();
  const watch = watchConnections(balancer.port);
  balancer.change({ 'services/db': tcp(port), 'instances/db/a': app.address });
  balancer.change({ 'services/api': policy(1), 'instances/api/a': app.address });
  await holds(balancer, 'services/db');
  await answers(balancer.port, 'api');
  const [db] = held(balancer);
  expect(db).toMatchObject({ serves: 'nothing' });
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
  const { app, balancer } = await start();
  balancer.change({ 'services/db': tcp(first), 'instances/db/a': app.address });
  await answers(first, 'db');
  await balancer.applied();
  const { port, free } = await takenPort();
  balancer.change({ 'services/db': tcp(port) });
  await holds(balancer, 'services/db');
  expect(held(balancer)).toMatchObject([{ serves: 'last-good' }]);
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
  const { app, balancer } = await start();
  balancer.change({ 'services/db': tcp(first), 'instances/db/a': app.address });
  balancer.change({ 'services/more': tcp(second), 'instances/more/a': app.address });
  await Promise.all([answers(first, 'db'), answers(second, 'more')]);
  await balancer.applied();
  const newer = JSON.stringify({ mode: 'tcp', port: second, balance: 'leastconn' });
  const free = await takenWhileHaproxyIsDown(balancer, [first, second], () =>
    balancer.change({ 'services/db': policy(1), 'services/more': newer }),
  );
  await Promise.all([answers(balancer.port, 'web'), answers(balancer.port, 'db')]);
  await holds(balancer, 'services/more');
  expect(held(balancer)).toMatchObject([{ serves: 'nothing' }]);
  await free();
  await answers(second, 'more');
  await holds(balancer);
});

test('a policy is served although HAProxy ends right after the reload that loads the policy', async () => {
  const { balancer } = await start();
  await balancer.applied();
  const port = await freePort();
  const { haproxy } = balancer;
  const reload = haproxy.reload.bind(haproxy);
  haproxy.reload = async () => {
    haproxy.reload = reload;
    const processes = await reload();
    for (const pid of [processes.masterPid, processes.workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
    await until('pointsman knows that HAProxy ended', () => !balancer.balancer.status().serving);
    return processes;
  };
  balancer.change({ 'services/web': tcp(port) });
  await until('HAProxy serves again', () => balancer.lines.some((line) => line.includes('HAProxy serves again')));
  await answers(port, 'web');
  await balancer.applied();
});

test('HAProxy starts without a port that cannot be had: at first, when it ended, and after a take-over', async () => {
  const { port, free } = await takenPort();
  // Nothing else is there, and nothing was ever good.
  const { app, balancer } = await start({}, { 'services/db': tcp(port), 'instances/db/a': '127.0.0.1:1' });
  await answers(balancer.port, 'web');
  await holds(balancer, 'services/db');
  const { masterPid = 0, workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
  for (const pid of [masterPid, workerPid]) signal(pid, 'SIGKILL');
  await until('another HAProxy runs', async () => {
    const pid = (await balancer.haproxy.processes())?.workerPid;
    return pid !== undefined && pid !== workerPid;
  });
  await answers(balancer.port, 'web');

  const other = await takenPort();
  balancer.change({ 'services/db': tcp(port), 'services/more': tcp(other.port), 'instances/more/a': app.address });
  await holds(balancer, 'services/db', 'services/more');
  await balancer.applied();
  await balancer.balancer.stop(0, 'leave');
  const second = await startBalancer({ probeMs: 200, dir: balancer.dir, port: balancer.port });
  onTestFailed(() => void process.stderr.write(second.lines.slice(-80).join('')));
  onTestFinished(() => second.stop({ keep: true }));
  second.snapshot({
    ...{ 'instances/web/a': app.address, 'instances/web/b': app.address },
    ...{ 'services/db': tcp(port), 'instances/db/a': app.address },
    ...{ 'services/more': tcp(other.port), 'instances/more/a': app.address },
    ...{ 'services/new': policy(1), 'instances/new/a': app.address },
  });
  await second.balancer.start();
  await answers(second.port, 'new');
  await holds(second, 'services/db', 'services/more');
  await Promise.all([free(), other.free()]);
  await answers(port, 'db');
  await answers(other.port, 'more');
});

test.each([
  ['chroot', 'chroot /nonexistent'],
  ['limit', 'ulimit-n 2000000000'],
])(
  'a frame with a %s that only a start refuses is held before a reload, and no connection is refused',
  async (_, line) => {
    const own = await folder();
    const frame = await readFile(join(shipped, 'haproxy.cfg.mustache'), 'utf8');
    const { app, balancer } = await start();
    await balancer.applied();
    const watch = watchConnections(balancer.port);
    await writeFile(join(own, 'haproxy.cfg.mustache'), frame.replace('global\n', `global\n    ${line}\n`));
    balancer.balancer.useTemplates(await loadTemplates(shipped, own));
    await holds(balancer, 'templates/frame');
    balancer.change({ 'services/api': policy(1), 'instances/api/a': app.address });
    await answers(balancer.port, 'api');
    expect(await watch.stop()).toMatchObject({ refused: 0 });
    expect(await balancer.metric('reloads_total', { result: 'failed' })).toBe(0);
  },
);

test('where only a reload tells that a port is taken, that is tried ever more seldom, and the others go on', async () => {
  const { app, balancer } = await start({ executable: await wrapped(blind), probeMs: 300 });
  await balancer.applied();
  const { port } = await takenPort();
  balancer.change({ 'services/db': tcp(port), 'instances/db/a': app.address });
  balancer.change({ 'services/api': policy(1), 'instances/api/a': app.address });
  await holds(balancer, 'services/db');
  await answers(balancer.port, 'api');
  const failed = () => balancer.metric('reloads_total', { result: 'failed' });
  expect(await failed()).toBe(1);
  // A reload of HAProxy takes 2 s to fail.
  const since = performance.now();
  // The address waits for 10 s.
  await until('it was tried again', async () => (await failed()) === 2, { deadlineMs: 60_000 });
  expect(performance.now() - since).toBeGreaterThan(3000);
  await holds(balancer, 'services/db');
});

test('after reloads that failed in a row, HAProxy answers on its socket, and changes go on', async () => {
  const { app, balancer } = await start({ executable: await wrapped(blind) });
  await balancer.applied();
  const ports = await Promise.all([takenPort(), takenPort()]);
  for (const [i, { port }] of ports.entries()) {
    balancer.change({ [`services/db${i}`]: tcp(port), [`instances/db${i}/a`]: app.address });
    await holds(balancer, ...['services/db0', 'services/db1'].slice(0, i + 1));
    expect(await balancer.metric('reloads_total', { result: 'failed' })).toBe(i + 1);
  }
  const b = await startApp('b');
  onTestFinished(() => b.close());
  balancer.change({ 'instances/web/a': undefined, 'instances/web/b': b.address });
  await answers(balancer.port, 'web', 'b');
  const { paths } = balancer;
  const connection = await connectRuntime({
    path: paths.runtimeSocket,
    greetingMs: 5000,
    answerMs: 5000,
    onLost: () => {},
  });
  const [info] = await connection.run(['show info']).finally(() => connection.close());
  expect(info).toContain(`Pid: ${(await balancer.haproxy.processes())?.workerPid}\n`);
  expect(balancer.balancer.status().drift?.differences ?? []).toEqual([]);
});

test('what is changed by command while HAProxy loads a configuration is served by both workers', async () => {
  const own = await folder();
  const script = join(own, 'slow.lua');
  // Slow where it serves, not where it is checked.
  await writeFile(script, `if os.getenv('HAPROXY_MWORKER') and io.open('${own}/slow') then local t = os.time() + 3 while os.time() < t do end end`); // biome-ignore format: a script
  const frame = await readFile(join(shipped, 'haproxy.cfg.mustache'), 'utf8');
  await writeFile(join(own, 'haproxy.cfg.mustache'), frame.replace('global\n', `global\n    lua-load ${script}\n`));
  const { app, balancer } = await start({ templates: own }, { 'instances/web/x': '127.0.0.1:1' });
  await balancer.applied();
  const b = await startApp('b');
  onTestFinished(() => b.close());
  await writeFile(join(own, 'slow'), '');
  const reloads = await balancer.metric('reloads_total', { result: 'ok' });
  balancer.change({ 'services/api': policy(1), 'instances/api/a': app.address });
  await until('HAProxy loads', () => stat(`${balancer.paths.config}.reloading`));
  const before = performance.now();
  balancer.change({ 'instances/web/b': b.address, 'instances/web/a': undefined, 'instances/web/x': undefined });
  await answers(balancer.port, 'web', 'b');
  expect(performance.now() - before).toBeLessThan(1500);
  expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(reloads);
  await balancer.applied();
  expect(await balancer.metric('reloads_total', { result: 'ok' })).toBe(reloads + 1);
  const { servers } = await balancer.link.inspect();
  const serving = [...(servers.get('web') ?? [])].filter(([, { disabled }]) => !disabled);
  expect(serving.map(([name]) => name)).toEqual(['b']);
  await answers(balancer.port, 'web', 'b');
  expect(balancer.balancer.status().drift?.differences ?? []).toEqual([]);
});
