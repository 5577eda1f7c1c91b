import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { PointsmanProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Host, type Hosts, startHosts } from './hosts.ts';
import { startRelay } from './relay.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['node']);
if (reason !== undefined) process.stderr.write(`container labels are not tested: ${reason}\n`);

const names = ['one', 'two'] as const;
const web = { 'pointsman.service': 'web', 'pointsman.port': '8080' };
const published = '--publish=8080';
const minute = 60_000;

/** Two containers of one service, as a user writes them: the image knows nothing of pointsman. */
const compose = (folder: string, more: string): string => `
name: shop
services:
  web:
    image: pointsman-base-node
    command: [node, /srv/app.mjs]
    environment: { VERSION: "\${VERSION}" }
    ports: ["8080"]
    volumes: ["${folder}/app.mjs:/srv/app.mjs:ro"]
    labels: { pointsman.service: "", pointsman.port: "8080", pointsman.check: "http:///health" }
    deploy: { replicas: 2 }
    stop_grace_period: 60s
    ${more}
`;

describe.skipIf(reason !== undefined)('containers with labels on two hosts', () => {
  let hosts: Hosts;
  const agents = new Map<Host, PointsmanProcess>();
  beforeAll(async () => {
    hosts = await startHosts();
    for (const name of names) agents.set(hosts[name], hosts[name].startAgent());
  }, 15 * minute);
  afterAll(() => hosts?.close(), 2 * minute);
  afterEach(() => hosts.removeContainers(), minute);

  const printLogsOnFailure = () =>
    onTestFailed(() => {
      for (const [{ name }, agent] of agents) {
        process.stderr.write(`--- agent of ${name}\n${agent.output.slice(-40).join('\n')}\n`);
      }
    });
  const serves = (host: Host, answers: readonly string[]) =>
    until(
      `${answers.join(', ')} answer at ${host.name}`,
      async () => (await host.answers()).join() === answers.join(),
      patience,
    );
  /** Waits until the balancers of both hosts get these answers and no others. */
  const serve = (...answers: readonly string[]) => Promise.all(names.map((name) => serves(hosts[name], answers)));
  const instances = async (count: number) =>
    until(`${count} instances`, async () => (await hosts.keys('instances/')).length === count, patience);
  const agentOf = (host: Host): PointsmanProcess => {
    const agent = agents.get(host);
    if (agent === undefined) throw new Error(`${host.name} has no agent`);
    return agent;
  };

  /** The services of compose.yaml, version 1, on both hosts, and a way to run `docker compose` with another version. */
  async function startShop(more: string) {
    const file = join(hosts.folder, 'compose.yaml');
    await writeFile(file, compose(hosts.folder, more));
    const up = (host: Host, version: number) =>
      host.engine.docker(['compose', '-f', file, 'up', '--detach', '--timeout', '60'], { VERSION: String(version) });
    for (const name of names) await up(hosts[name], 1);
    await instances(4);
    const load = hosts.load();
    await until('all four answer', () => load.answers().length === 4, patience);
    /** Waits until four new ones answer, and gives what became of the requests. */
    const end = async () => {
      await until('the new version answers', () => load.answers().filter((one) => one.endsWith('version 2')).length === 4, patience); // biome-ignore format: one wait
      return load.end();
    };
    return { file, up, end };
  }

  test('a container is served by the balancers of both hosts while it runs', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    const { one, two } = hosts;
    await one.startApp('web-1', web, published);
    await two.startApp('web-2', web, published);
    await serve('web-1 version 1', 'web-2 version 1');
    expect(await hosts.keys('instances/')).toEqual(['instances/web/one-web-1', 'instances/web/two-web-2']);
    // A crash, its restart, a restart on command, a pause.
    await one.docker(['kill', '--signal', 'KILL', 'web-1']);
    await serve('web-2 version 1');
    await one.docker(['start', 'web-1']);
    await serve('web-1 version 1', 'web-2 version 1');
    await two.docker(['restart', '--time', '1', 'web-2']);
    await serve('web-1 version 1', 'web-2 version 1');
    await two.docker(['pause', 'web-2']);
    await serve('web-1 version 1');
    await two.docker(['unpause', 'web-2']);
    await serve('web-1 version 1', 'web-2 version 1');
  });

  test('a container with a mistake in its labels is named with the label, and the others are served', {
    timeout: minute,
  }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    await one.startApp('wrong', { ...web, 'pointsman.weight': 'heavy' }, published);
    await one.startApp('unpublished', web);
    await one.startApp('right', web, published);
    await serve('right version 1');
    const { msg } = await agentOf(one).logged('labels-refused', ({ container }) => container === 'wrong');
    expect(msg).toMatch(/^container wrong: label pointsman\.weight: .*heavy/);
    await agentOf(one).logged('labels-refused', ({ container }) => container === 'unpublished');
    expect(await hosts.keys('instances/')).toEqual(['instances/web/one-right']);
  });

  test('a service has the policy that its newest container asks for, on whichever host', {
    timeout: minute,
  }, async () => {
    printLogsOnFailure();
    const { one, two } = hosts;
    const answers = (host: string, expected: string) =>
      until(
        `${host} is answered by ${expected}`,
        async () => (await one.answers(host)).join() === expected && (await two.answers(host)).join() === expected,
        patience,
      );
    await one.startApp(
      'old-1',
      { ...web, 'pointsman.service': 'shop', 'pointsman.hosts': 'shop.example.com' },
      published,
    );
    await answers('shop.example.com', 'old-1 version 1');
    await two.startApp('new-1', { ...web, 'pointsman.service': 'shop', 'pointsman.policy': '{"hosts": ["new.example.com"]}' }, published); // biome-ignore format: one command
    await answers('new.example.com', 'new-1 version 1,old-1 version 1');
    expect((await one.answers('shop.example.com')).join()).toContain('404');
    await two.docker(['rm', '--force', 'new-1']);
    await answers('shop.example.com', 'old-1 version 1');
  });

  test('a container is served while its HEALTHCHECK passes', { timeout: minute }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    const health = ['--health-cmd=test -e /tmp/ready', '--health-interval=500ms', '--health-retries=1'];
    await one.startApp('web-1', web, published, ...health);
    await until('it is starting', async () => (await one.docker(['inspect', '--format', '{{.State.Health.Status}}', 'web-1'])) !== 'healthy'); // biome-ignore format: one wait
    expect(await hosts.keys('instances/')).toEqual([]);
    await one.docker(['exec', 'web-1', 'touch', '/tmp/ready']);
    await serve('web-1 version 1');
    await one.docker(['exec', 'web-1', 'rm', '/tmp/ready']);
    await instances(0);
    await one.docker(['exec', 'web-1', 'touch', '/tmp/ready']);
    await serve('web-1 version 1');
  });

  test('docker compose up loses no request where the stop signal is SIGURG', { timeout: 3 * minute }, async () => {
    printLogsOnFailure();
    const { up, end } = await startShop('stop_signal: SIGURG');
    for (const name of names) {
      await up(hosts[name], 2);
      await instances(4);
    }
    const { requests, failed, failures } = await end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(500);
  });

  test('a container whose stop signal is SIGURG loses no request if it is stopped while the socket is missing', {
    timeout: 2 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one, two, folder } = hosts;
    agentOf(one).kill('SIGKILL');
    const relay = await startRelay(join(folder, 'relay.sock'), one.socket);
    agents.set(one, one.startAgent(relay.path));
    await one.startApp('web-1', web, published, '--stop-signal=SIGURG', '--stop-timeout=60');
    await two.startApp('web-2', web, published);
    await serve('web-1 version 1', 'web-2 version 1');
    const load = hosts.load();
    await load.sees('web-1 version 1', 'web-2 version 1');
    await relay.away();
    await agentOf(one).logged('engine-unavailable');
    const { ended } = await one.beginStop('web-1');
    await relay.back();
    // That of an application that got SIGTERM. SIGKILL would make it 137.
    expect(await ended).toBe('0');
    await agentOf(one).logged('let-go', ({ id }) => id === 'one-web-1');
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  });

  test('pointsman stop before docker compose up loses no request', { timeout: 3 * minute }, async () => {
    printLogsOnFailure();
    const { up, end } = await startShop('');
    for (const name of names) {
      const host = hosts[name];
      for (const container of ['shop-web-1', 'shop-web-2']) {
        const { code, output } = await host.pointsman('stop', '--engine', `unix://${host.socket}`, container);
        expect({ code, output }).toEqual({ code: 0, output: `${container}: drained and stopped` });
      }
      await up(host, 2);
      await instances(4);
    }
    const { failed, failures } = await end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(await hosts.keys('overrides/')).toEqual([]);
  });

  test('pointsman rollout over both hosts loses no request', { timeout: 3 * minute }, async () => {
    printLogsOnFailure();
    const { file, end } = await startShop('');
    const { one } = hosts;
    const engines = names.flatMap((name) => ['--engine', `unix://${hosts[name].socket}`]);
    const command = `VERSION=2 nsenter -t ${one.engine.pid} -m -n docker compose -f ${file} up --detach --no-recreate --scale web=$ROLLOUT_SCALE`; // biome-ignore format: one command
    const { code, output } = await one.pointsman('rollout', ...engines, 'web', '--', 'sh', '-c', command);
    expect({ code, output }).toMatchObject({ code: 0 });
    const { failed, failures } = await end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    await instances(4);
    expect(await hosts.keys('overrides/')).toEqual([]);
  });

  test('a restart of the agent or of the engine takes no running container out of the balancers', {
    timeout: 3 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    await one.startApp('web-1', web, published);
    await serve('web-1 version 1');
    const load = hosts.load();
    await load.sees('web-1 version 1');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const agent = agentOf(one);
      agent.kill(signal);
      await agent.ended;
      agents.set(one, one.startAgent());
      await agentOf(one).logged('announced');
    }
    await one.engine.restart(async () => {
      await agentOf(one).logged('engine-unavailable');
      expect(await hosts.keys('instances/')).toEqual(['instances/web/one-web-1']);
    });
    await agentOf(one).logged('engine-connected', ({ time }) => typeof time === 'string');
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    // Events are followed as before.
    await one.docker(['kill', '--signal', 'KILL', 'web-1']);
    await instances(0);
  });
});
