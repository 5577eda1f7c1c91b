import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import { loadTemplates } from '../../src/render/load-templates.ts';
import { startApp } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
import { watchConnections } from '../support/requests.ts';
import { answers, holds, reloadingPolicy, startServing } from '../support/serving.ts';
import { takenPort, tcp } from '../support/taken-port.ts';
import { until } from '../support/until.ts';

const shipped = join(import.meta.dirname, '../../templates');

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'pm-failing-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** An HAProxy of which some starts go another way: `when` is shell, with `"$@"`. */
async function wrapped(when: string): Promise<string> {
  const path = join(await folder(), 'haproxy');
  await writeFile(path, `#!/bin/bash\n${when}\nexec ${haproxyBin} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}
/** HAProxy is not asked what only a start tells, as where it runs on another machine than pointsman. */
const blind = 'case "$*" in *.probe) exit 0;; esac';

test('a policy is served although HAProxy ends right after the reload that loads the policy', async () => {
  const { balancer } = await startServing({ retryMs: 200 });
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

test.each([
  ['chroot', 'chroot /nonexistent'],
  ['limit', 'ulimit-n 2000000000'],
])(
  'a frame with a %s that only a start refuses is held before a reload, and no connection is refused',
  async (_, line) => {
    const own = await folder();
    const frame = await readFile(join(shipped, 'haproxy.cfg.mustache'), 'utf8');
    const { app, balancer } = await startServing({ retryMs: 200 });
    await balancer.applied();
    const watch = watchConnections(balancer.port);
    await writeFile(join(own, 'haproxy.cfg.mustache'), frame.replace('global\n', `global\n    ${line}\n`));
    balancer.balancer.useTemplates(await loadTemplates(shipped, own));
    await holds(balancer, 'templates/frame: last-good');
    balancer.change({ 'services/api': reloadingPolicy(1), 'instances/api/a': app.address });
    await answers(balancer.port, 'api');
    expect(await watch.stop()).toMatchObject({ refused: 0 });
    expect(await balancer.metric('reloads_total', { result: 'failed' })).toBe(0);
  },
);

test('where only a reload tells that a port is taken, that is tried ever more seldom, and the others go on', async () => {
  const { app, balancer } = await startServing({ executable: await wrapped(blind), retryMs: 300 });
  await balancer.applied();
  const { port } = await takenPort();
  balancer.change({ 'services/db': tcp(port), 'instances/db/a': app.address });
  balancer.change({ 'services/api': reloadingPolicy(1), 'instances/api/a': app.address });
  await holds(balancer, 'services/db: nothing');
  await answers(balancer.port, 'api');
  const failed = () => balancer.metric('reloads_total', { result: 'failed' });
  expect(await failed()).toBe(1);
  // A reload of HAProxy takes 2 s to fail.
  const since = performance.now();
  // The address waits for 10 s.
  await until('it was tried again', async () => (await failed()) === 2, { deadlineMs: 60_000 });
  expect(performance.now() - since).toBeGreaterThan(3000);
  await holds(balancer, 'services/db: nothing');
});

test('after reloads that failed in a row, HAProxy answers on its socket, and changes go on', async () => {
  const { app, balancer } = await startServing({ executable: await wrapped(blind), retryMs: 200 });
  await balancer.applied();
  const ports = await Promise.all([takenPort(), takenPort()]);
  for (const [i, { port }] of ports.entries()) {
    balancer.change({ [`services/db${i}`]: tcp(port), [`instances/db${i}/a`]: app.address });
    await holds(balancer, ...['services/db0: nothing', 'services/db1: nothing'].slice(0, i + 1));
    expect(await balancer.metric('reloads_total', { result: 'failed' })).toBe(i + 1);
  }
  const b = await startApp('b');
  onTestFinished(() => b.close());
  balancer.change({ 'instances/web/a': undefined, 'instances/web/b': b.address });
  await answers(balancer.port, 'web', 'b');
  const [info] = await balancer.command('show info');
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
  const { app, balancer } = await startServing({ retryMs: 200, templates: own }, { 'instances/web/x': '127.0.0.1:1' });
  await balancer.applied();
  const b = await startApp('b');
  onTestFinished(() => b.close());
  await writeFile(join(own, 'slow'), '');
  const reloads = await balancer.metric('reloads_total', { result: 'ok' });
  balancer.change({ 'services/api': reloadingPolicy(1), 'instances/api/a': app.address });
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
