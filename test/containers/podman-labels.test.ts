import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { PointsmanProcess } from '../support/processes.ts';
import { endHaproxy } from '../support/scenario.ts';
import { until } from '../support/until.ts';
import { openWorld, patience, type World, whyNoContainers } from './world.ts';

const reason = whyNoContainers();
if (reason !== undefined) process.stderr.write(`container labels are not tested with podman: ${reason}\n`);

const balancers = [
  { id: 'lb-1', http: 8081, admin: 8404 },
  { id: 'lb-2', http: 8082, admin: 8405 },
];

describe.skipIf(reason !== undefined)('containers with labels on podman', () => {
  let world: World;
  let agent: PointsmanProcess;
  let socket: string;
  const running: PointsmanProcess[] = [];
  const start = (command: string, ...args: readonly string[]): PointsmanProcess => {
    const registry = `dir:${join(world.folder, 'registry')}`;
    const started = new PointsmanProcess([command, '--registry', registry, ...args], { through: world.through });
    running.push(started);
    return started;
  };
  beforeAll(async () => {
    world = await openWorld();
    socket = await world.serve();
    await mkdir(join(world.folder, 'registry'));
    for (const { id, http, admin } of balancers) {
      const dir = join(world.folder, id);
      const balancer = start('balance', '--id', id, '--dir', dir, '--http', `127.0.0.1:${http}`, '--admin', `127.0.0.1:${admin}`); // biome-ignore format: one command
      await balancer.logged('serving');
    }
    agent = start('register', '--containers', `unix://${socket}`);
  }, 300_000);
  afterAll(async () => {
    for (const one of running) await one.destroy();
    if (world !== undefined) {
      for (const { id } of balancers) await endHaproxy(join(world.folder, id));
      await world.close();
    }
  }, 60_000);

  const startApp = (name: string, version: number, ...flags: readonly string[]) =>
    world.start(
      ...['--name', name, '--hostname', name, '--env', `VERSION=${version}`, '--network', 'podman'],
      ...['--label', 'pointsman.service=web', '--label', 'pointsman.port=8080', '--label', 'pointsman.network=podman'],
      ...['--volume', `${join(import.meta.dirname, 'app.mjs')}:/srv/app.mjs:ro`, ...flags],
      ...['--entrypoint', 'node', 'localhost/pointsman-base-node', '/srv/app.mjs'],
    );
  const serve = (...answers: readonly string[]) =>
    until(
      `${answers.join(', ')} answer`,
      async () => {
        for (const { http } of balancers) {
          const seen = [];
          for (let i = 0; i < 8; i += 1) seen.push(await world.ask(`http://127.0.0.1:${http}/`).catch(String));
          if ([...new Set(seen)].sort().join() !== answers.join()) return false;
        }
        return true;
      },
      patience,
    );
  const printLogsOnFailure = () =>
    onTestFailed(() => {
      for (const { output } of running) process.stderr.write(`---\n${output.slice(-30).join('\n')}\n`);
    });

  test('a container is served while it runs, and one that crashed is not', { timeout: 120_000 }, async () => {
    printLogsOnFailure();
    await startApp('web-1', 1);
    await startApp('web-2', 1);
    await serve('web-1 version 1', 'web-2 version 1');
    await world.podman('kill', '--signal', 'KILL', 'web-1');
    await serve('web-2 version 1');
    await world.podman('start', 'web-1');
    await serve('web-1 version 1', 'web-2 version 1');
    await world.podman('rm', '--force', '--time', '0', 'web-1', 'web-2');
  });

  test('a container that is stopped while the agent does not run leaves, and gets SIGTERM', {
    timeout: 180_000,
  }, async () => {
    printLogsOnFailure();
    await startApp('web-1', 1, '--stop-signal', 'SIGURG', '--stop-timeout', '60');
    await startApp('web-2', 1);
    await serve('web-1 version 1', 'web-2 version 1');
    const load = world.load(...balancers.map(({ http }) => http));
    await load.sees('web-1 version 1', 'web-2 version 1');
    agent.kill('SIGKILL');
    await agent.ended;
    const stopped = world.podman('stop', 'web-1');
    const status = () => world.podman('inspect', '--format', '{{.State.Status}}', 'web-1');
    await until('it is stopping', async () => (await status()) === 'stopping', patience);
    agent = start('register', '--containers', `unix://${socket}`);
    await stopped;
    expect(await world.podman('inspect', '--format', '{{.State.ExitCode}}', 'web-1')).toBe('0');
    await agent.logged('let-go', ({ container }) => container === 'web-1');
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    await world.podman('rm', '--force', '--time', '0', 'web-1', 'web-2');
  });

  test('podman stop loses no request where the stop signal is SIGURG, nor does pointsman stop', {
    timeout: 180_000,
  }, async () => {
    printLogsOnFailure();
    const harmless = ['--stop-signal', 'SIGURG', '--stop-timeout', '60'];
    for (const name of ['web-1', 'web-2']) await startApp(name, 1, ...harmless);
    await serve('web-1 version 1', 'web-2 version 1');
    const load = world.load(...balancers.map(({ http }) => http));
    await load.sees('web-1 version 1', 'web-2 version 1');
    await world.podman('stop', 'web-1');
    expect(await world.podman('inspect', '--format', '{{.State.ExitCode}}', 'web-1')).toBe('0');
    await agent.logged('container-left', ({ container }) => container === 'web-1');
    await world.podman('rm', 'web-1');
    await startApp('web-1', 2);
    await serve('web-1 version 2', 'web-2 version 1');
    const { ended, output } = start('stop', '--engine', `unix://${socket}`, 'web-2');
    expect({ ...(await ended), output }).toMatchObject({ code: 0, output: ['web-2: drained and stopped'] });
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  });
});
