import { readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../../src/haproxy/master.ts';
import { signal } from '../../src/haproxy/processes.ts';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { runPointsman } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

/** The check takes it; a worker does not get that many files, not even as root. */
const tooMany = Number(readFileSync('/proc/sys/fs/nr_open', 'utf8')) + 1000;

type Told = { readonly part: string; readonly reason: string; readonly blocks: boolean };

/** A balancer with an own frame, made of the shipped one. */
async function startWithFrame(change: (shipped: string, dir: string) => string) {
  const scenario = await startScenario('folder');
  const shipped = await readFile(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
  const templates = join(scenario.dir, 'templates');
  await mkdir(templates);
  const frame = async (make: (shipped: string, dir: string) => string) => {
    await writeFile(join(templates, 'part'), make(shipped, scenario.dir));
    await rename(join(templates, 'part'), join(templates, 'haproxy.cfg.mustache'));
  };
  await frame(change);
  const start = () => scenario.balancer('--haproxy', haproxyBin, '--haproxy-templates', templates);
  const readyz = () => scenario.askAdmin('/readyz');
  const notReady = (part: string) =>
    until(
      `/readyz names ${part}`,
      async () => {
        const { status, body } = await readyz();
        return status === 503 && body.includes(`${part}: `) && body;
      },
      { deadlineMs: 10_000 },
    );
  const ready = () => until('it is ready', async () => (await readyz()).status === 200);
  const troubles = async (): Promise<readonly Told[]> => JSON.parse((await scenario.askAdmin('/status')).body).troubles;
  return { scenario, start, frame, readyz, notReady, ready, troubles };
}

test('rounds that cannot go on are told by /readyz, status and a metric within seconds', async () => {
  // A map that is not pointsman's: HAProxy answers with an error to each question about that one.
  const { scenario, start, notReady, troubles } = await startWithFrame((shipped, dir) =>
    shipped.replaceAll('{{routesMap}}', join(dir, 'other.map')),
  );
  await writeFile(join(scenario.dir, 'other.map'), '');
  await scenario.writeByHand('instances/web/a', '127.0.0.1:1');
  start();
  const told = await notReady('inspection');
  expect(told).toContain('Unknown map identifier');
  expect(await troubles()).toContainEqual(expect.objectContaining({ part: 'inspection', blocks: true }));
  const metrics = (await scenario.askAdmin('/metrics')).body;
  expect(metrics).toContain('pointsman_trouble{part="inspection"} 1');
  expect(metrics).toMatch(/^pointsman_ready 0$/m);
  // HAProxy serves all the same, so a load balancer before it need not leave it out.
  expect((await scenario.askAdmin('/serving')).status).toBe(200);
  const { stdout } = await runPointsman([
    'status',
    '--registry',
    scenario.location,
    '--admin',
    `127.0.0.1:${scenario.admin}`,
  ]);
  expect(stdout.join('\n')).toMatch(/Unknown map identifier[\s\S]*not ready/);
});

test('a frame that HAProxy does not load although its check takes it is held, and everything else goes on', async () => {
  const { scenario, start, frame, readyz } = await startWithFrame((shipped) => shipped);
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = start();
  await balancer.logged('serving');
  expect((await readyz()).status).toBe(200);
  await frame((shipped) => shipped.replace('global\n', `global\n    ulimit-n ${tooMany}\n`));
  await balancer.logged('config-refused', ({ key }) => key === 'templates/frame');
  await scenario.writeByHand('instances/web/b', b);
  await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['www.example'], balance: 'leastconn' }));
  await scenario.serves('www.example', ['a', 'b']);
  await balancer.logged('reloaded');
  const troubles = JSON.parse((await scenario.askAdmin('/status')).body).troubles;
  expect(troubles).toEqual([expect.objectContaining({ part: 'template', blocks: false })]);
  expect((await readyz()).status).toBe(200);
});

test('a reload that fails again and again is told until it works, and instances go on changing', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  // An HAProxy of others, whose reload can be made to fail.
  const run = join(scenario.balancerDir, 'run');
  await mkdir(run, { recursive: true });
  const script = join(scenario.dir, 'reload');
  const config = join(scenario.balancerDir, 'haproxy.cfg');
  const pid = join(scenario.dir, 'pid');
  await writeFile(
    script,
    [
      '#!/bin/sh',
      `[ ! -e ${scenario.dir}/broken ] || exit 1`,
      `old=$(cat ${pid} 2>/dev/null)`,
      `${haproxyBin} -D -p ${pid} -f ${config} \${old:+-sf $old} </dev/null >/dev/null 2>&1`,
    ].join('\n'),
    { mode: 0o755 },
  );
  onTestFinished(async () => signal(Number(await readFile(pid, 'utf8')), 'SIGTERM'));
  const command = ['--check-command', `${haproxyBin} -c -f {file}`, '--reload-command', script];
  const balancer = scenario.balancer('--haproxy-mode', 'command', ...command);
  await balancer.logged('serving');
  const readyz = () => scenario.askAdmin('/readyz');
  expect((await readyz()).status).toBe(200);
  await writeFile(join(scenario.dir, 'broken'), '');
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'leastconn' }));
  await balancer.logged('reload-failed');
  const since = performance.now();
  const told = await until('/readyz tells', async () => (await readyz()).status === 503 && (await readyz()).body);
  expect(told).toContain('reload: ');
  expect(performance.now() - since).toBeLessThan(10_000);
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
  await rm(join(scenario.dir, 'broken'));
  await until('it is ready', async () => (await readyz()).status === 200);
});

test('a frame that HAProxy cannot start on leaves the last good one serving', async () => {
  const { scenario, start, frame, readyz } = await startWithFrame((shipped) => shipped);
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const first = start();
  await first.logged('serving');
  await scenario.serves('web', ['a']);
  first.kill('SIGTERM');
  await first.ended;
  await frame((shipped) => shipped.replace('global\n', `global\n    ulimit-n ${tooMany}\n`));
  await scenario.writeByHand('instances/web/b', b);
  const second = start();
  await second.logged('serving');
  await scenario.serves('web', ['a', 'b']);
  await second.logged('config-refused', ({ reason }) => /did not start/.test(String(reason)));
  expect((await readyz()).status).toBe(200);
  // And the mended one is used.
  await frame((shipped) => shipped.replace('global\n', 'global\n    maxconn 1000\n'));
  await second.logged('reloaded');
  const config = await readFile(join(scenario.balancerDir, 'haproxy.cfg'), 'utf8');
  expect(config).toContain('maxconn 1000\n');
});

test('the socket of the master comes back when somebody deletes it, and changes are applied again', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy', haproxyBin);
  await balancer.logged('serving');
  await rm(join(scenario.balancerDir, 'run/master.sock'));
  await balancer.logged('master-socket-missing');
  await scenario.writeByHand('instances/other/a', a);
  await scenario.serves('other', ['a']);
  await until('it is ready', async () => (await scenario.askAdmin('/readyz')).status === 200);
  expect(balancer.log.filter(({ event }) => event === 'haproxy-exited')).toEqual([]);
});

test('a worker that is stopped is told by /serving and /readyz within seconds, and both come back with it', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy', haproxyBin);
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const worker = (await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000))?.workerPid;
  expect(worker).toBeDefined();
  if (worker === undefined) return;
  const answers = (path: string, status: number) =>
    until(`${path} answers ${status}`, async () => (await scenario.askAdmin(path)).status === status);
  const since = performance.now();
  signal(worker, 'SIGSTOP');
  onTestFinished(() => void signal(worker, 'SIGCONT'));
  await answers('/serving', 503);
  await answers('/readyz', 503);
  expect(performance.now() - since).toBeLessThan(10_000);
  expect(JSON.parse((await scenario.askAdmin('/status')).body).serving).toBe(false);
  await balancer.logged('haproxy-silent');
  signal(worker, 'SIGCONT');
  await answers('/serving', 200);
  await answers('/readyz', 200);
  await scenario.serves('web', ['a']);
  expect(balancer.log.filter(({ event }) => event === 'haproxy-exited' || event === 'reloaded')).toEqual([]);
});

test.each([
  ['deletes', rm],
  // As two failed reloads in a row leave it, since HAProxy 3.1.
  ['replaces', replaceByDead],
])('changes and reloads go on when somebody %s the socket of the worker', async (_, spoil) => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy', haproxyBin);
  await balancer.logged('serving');
  await spoil(join(scenario.balancerDir, 'run/haproxy.sock'));
  // The patrol asks it on a connection of its own.
  await balancer.logged('runtime-socket-missing');
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'leastconn' }));
  await balancer.logged('reloaded');
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
  await until('it is ready', async () => (await scenario.askAdmin('/readyz')).status === 200);
  const events = balancer.log.map(({ event }) => event);
  expect(events).not.toContain('haproxy-silent');
  expect(events.filter((event) => event === 'runtime-socket-missing')).toHaveLength(1);
});

test('an HAProxy of another version than --haproxy names is told when it is taken over, and is no obstacle', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const first = scenario.balancer('--haproxy', haproxyBin);
  await first.logged('serving');
  first.kill('SIGUSR2');
  await first.ended;
  const newer = join(scenario.dir, 'haproxy');
  const script = ['#!/bin/sh', '[ "$1" != -v ] || exec echo "HAProxy version 9.8.7 2026/01/01"'];
  await writeFile(newer, [...script, `exec ${haproxyBin} "$@"`, ''].join('\n'), { mode: 0o755 });
  const second = scenario.balancer('--haproxy', newer);
  await second.logged('haproxy-version-differs', ({ ours }) => ours === '9.8.7');
  await second.logged('serving');
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
  const { troubles, ready } = JSON.parse((await scenario.askAdmin('/status')).body);
  expect(troubles).toEqual([expect.objectContaining({ part: 'haproxy-version', blocks: false })]);
  expect(ready).toBe(true);
});

/** Puts a socket there that nobody listens on. */
async function replaceByDead(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.dead`, resolve));
  await rename(`${path}.dead`, path);
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}
