import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { PointsmanProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Host, type Hosts, startHosts } from './hosts.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['node']);
if (reason !== undefined) process.stderr.write(`rollouts of containers are not tested: ${reason}\n`);

const names = ['one', 'two'] as const;
const minute = 60_000;
const web = { 'pointsman.service': 'web', 'pointsman.port': '8080', 'pointsman.check': 'http:///health' };
const published = '--publish=8080';
const version = (number: number) => `--env=VERSION=${number}`;

/** A singleton of each host, on a fixed port. */
const compose = (folder: string): string => `
name: shop
services:
  web:
    image: pointsman-base-node
    command: [node, /srv/app.mjs]
    container_name: web-here
    hostname: "\${HERE}"
    environment: { VERSION: "\${VERSION}" }
    ports: ["8080:8080"]
    volumes: ["${folder}/app.mjs:/srv/app.mjs:ro"]
    labels: { pointsman.service: "", pointsman.port: "8080", pointsman.check: "http:///health" }
`;

describe.skipIf(reason !== undefined)('rollouts on two hosts with two balancers', () => {
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
      for (const [{ name }, { output }] of agents) {
        process.stderr.write(`--- agent of ${name}\n${output.slice(-40).join('\n')}\n`);
      }
    });
  const engineOf = ({ socket }: Host) => ['--engine', `unix://${socket}`];
  const serve = async (...answers: readonly string[]) => {
    for (const name of names) {
      await until(`${answers.join(', ')} answer at ${name}`, async () => (await hosts[name].answers()).join() === answers.join(), patience); // biome-ignore format: one wait
    }
  };
  /** Waits until the answers are given, and expects that no request failed and that no drain is left. */
  const expectNoLoss = async (load: ReturnType<Hosts['load']>, ...answers: readonly string[]) => {
    await serve(...answers);
    const { requests, failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(100);
    expect(await hosts.keys('overrides/')).toEqual([]);
    return requests;
  };
  const running = async ({ docker }: Host) => (await docker(['ps', '--format', '{{.Names}}'])).split('\n').sort();

  /** Runs a rollout that succeeds, and gives how many seconds it took. */
  const rollOut = async (...args: readonly string[]) => {
    const begun = performance.now();
    const { code, output } = await hosts.one.pointsman('rollout', ...args);
    expect({ code, output }).toMatchObject({ code: 0 });
    return ((performance.now() - begun) / 1000).toFixed(1);
  };

  /** A shell command that starts containers of version 2 at the engine of the rollout, and then does `more`. */
  const starting = (containers: readonly string[], more = '', flags = '') => {
    const { one } = hosts;
    const labels = Object.entries(web).map(([label, value]) => `--label ${label}=${value}`).join(' '); // biome-ignore format: one chain
    const run = (name: string) =>
      `nsenter -t ${one.engine.pid} -m -n docker run --detach --name ${name} --hostname ${name} ${labels} ${flags} --publish=8080 ${version(2)} --volume ${hosts.folder}/app.mjs:/srv/app.mjs:ro pointsman-base-node node /srv/app.mjs`;
    return ['sh', '-c', `${containers.map(run).join(' && ')} >/dev/null ${more}`];
  };

  /** web-1 at the first host and web-2 at the second, under load. */
  async function startPair() {
    await hosts.one.startApp('web-1', web, published, version(1));
    await hosts.two.startApp('web-2', web, published, version(1));
    await serve('web-1 version 1', 'web-2 version 1');
    const load = hosts.load();
    await load.sees('web-1 version 1', 'web-2 version 1');
    return load;
  }

  /** Requests that stay open for 15 s, some of them of the first host. Resolves when all are answered. */
  const openRequests = () => {
    const ask = () => hosts.one.engine.ask(`http://${hosts.one.address}/slow/15000`);
    const answers = Promise.all(Array.from({ length: 6 }, ask));
    // A test that fails before it awaits this has another reason.
    answers.catch(() => undefined);
    return () => answers;
  };

  /** A rollout of the first host under load that goes back, and leaves all as it was. */
  async function expectBack(
    because: RegExp,
    flags: readonly string[],
    command: readonly string[],
    startMore: () => () => Promise<unknown> = () => async () => undefined,
  ) {
    const load = await startPair();
    const end = startMore();
    const { one } = hosts;
    const { code, output } = await one.pointsman('rollout', ...engineOf(one), ...flags, 'web', '--', ...command);
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(because) });
    expect(output).toMatch(/; the old containers serve as before$/);
    expect(await running(one)).toEqual(['web-1']);
    await end();
    await expectNoLoss(load, 'web-1 version 1', 'web-2 version 1');
  }

  test('goes back when the command fails after it started a container', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    await expectBack(/the command ended with 17;/, [], starting(['web-3'], '; exit 17'));
  });

  test('goes back when a new container is never healthy', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    const sick = '--health-cmd false --health-interval 500ms --health-retries 1 --label pointsman.check=';
    await expectBack(/not served within 5s: .*web-3/, ['--timeout', '5s'], starting(['web-3'], '', sick));
  });

  test('goes back when a new container ends', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    const kill = `; nsenter -t ${hosts.one.engine.pid} -m -n docker kill web-3 >/dev/null`;
    await expectBack(/web-3 has ended;/, [], starting(['web-3'], kill));
  });

  test('goes back when requests of an old container stay open', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    const command = starting(['web-3']);
    const flags = ['--drain-timeout', '600ms'];
    await expectBack(/not drained within 600ms: .*(open request|is at revision)/, flags, command, openRequests);
  });

  test('goes back at SIGTERM while the old containers are drained', { timeout: 2 * minute }, async () => {
    printLogsOnFailure();
    const load = await startPair();
    const { one } = hosts;
    const answered = openRequests();
    const rollout = one.startCommand('rollout', ...engineOf(one), 'web', '--', ...starting(['web-3']));
    await rollout.printed('draining web-1');
    rollout.kill('SIGTERM');
    expect((await rollout.ended).code).toBe(1);
    expect(rollout.stdout.at(-1)).toBe('a signal stopped the command; the old containers serve as before');
    await answered();
    await expectNoLoss(load, 'web-1 version 1', 'web-2 version 1');
  });

  test('survives a restart of the engine', { timeout: 3 * minute }, async () => {
    printLogsOnFailure();
    const load = await startPair();
    const { one } = hosts;
    const rollout = one.startCommand('rollout', ...engineOf(one), 'web', '--', ...starting(['web-3'], '', '--label pointsman.check=http:///slow')); // biome-ignore format: one call
    await rollout.printed('the command started web-3');
    await one.engine.restart(async () => {
      await rollout.printed('draining web-1');
      await until('it waits for the engine', () => rollout.stderr.some((line) => line.includes('waiting for the engine')), patience); // biome-ignore format: one wait
    });
    expect(await rollout.ended).toMatchObject({ code: 0 });
    await expectNoLoss(load, 'web-2 version 1', 'web-3 version 2');
  });

  test('stops at the second host when that one fails, and says which host has which version', {
    timeout: 2 * minute,
  }, async () => {
    printLogsOnFailure();
    const load = await startPair();
    const { one, two } = hosts;
    const [command, flag, script = ''] = starting(['web-3']);
    const failing = `${script}; case $DOCKER_HOST in *${two.socket}) exit 3;; esac`;
    const { code, output } = await one.pointsman('rollout', ...engineOf(one), ...engineOf(two), 'web', '--', ...[command, flag, failing].filter((word) => word !== undefined)); // biome-ignore format: one call
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringContaining('the command ended with 3; the old containers serve as before') }); // biome-ignore format: one line
    expect(output).toContain(`replaced before: the containers of unix://${one.socket}`);
    await expectNoLoss(load, 'web-2 version 1', 'web-3 version 2');
  });

  test('replaces singletons on fixed ports host after host, and loses no request', {
    timeout: 3 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one, two } = hosts;
    const file = join(hosts.folder, 'singleton.yaml');
    await writeFile(file, compose(hosts.folder));
    for (const name of names) await hosts[name].docker(['compose', '-f', file, 'up', '--detach'], { VERSION: '1', HERE: name }); // biome-ignore format: one line
    await serve('one version 1', 'two version 1');
    const load = hosts.load();
    await load.sees('one version 1', 'two version 1');
    const here = `case $DOCKER_HOST in *${two.socket}) HERE=two;; *) HERE=one;; esac`;
    const up = `${here}; export HERE VERSION=2; exec nsenter -t ${one.engine.pid} -m -n docker compose -f ${file} up --detach`;
    const seconds = await rollOut(...engineOf(one), ...engineOf(two), '--order', 'stop-first', 'web', '--', 'sh', '-c', up); // biome-ignore format: one call
    const requests = await expectNoLoss(load, 'one version 2', 'two version 2');
    process.stderr.write(`stop-first, two hosts: ${seconds} s, 0 of ${requests} requests failed\n`);
  });

  test('replaces ten containers start-first on two hosts, and loses no request', { timeout: 5 * minute }, async () => {
    printLogsOnFailure();
    const { one, two } = hosts;
    const of = (host: string, kind: string) => [1, 2, 3, 4, 5].map((number) => `${kind}-${host}-${number}`);
    for (const host of [one, two]) for (const name of of(host.name, 'old')) await host.startApp(name, web, published, version(1)); // biome-ignore format: one line
    await until('all are registered', async () => (await hosts.keys('instances/')).length === 10, patience);
    const load = hosts.load();
    await until('all answer', () => load.answers().length === 10, patience);
    const [, , first = ''] = starting(of('one', 'new'));
    const [, , second = ''] = starting(of('two', 'new'));
    const command = `case $DOCKER_HOST in *${two.socket}) ${second};; *) ${first};; esac`;
    const seconds = await rollOut(...engineOf(one), ...engineOf(two), 'web', '--', 'sh', '-c', command);
    await until('all new ones answer', () => load.answers().filter((answer) => answer.startsWith('new')).length === 10, patience); // biome-ignore format: one wait
    const { requests, failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(await hosts.keys('overrides/')).toEqual([]);
    process.stderr.write(`start-first, ten containers on two hosts: ${seconds} s, 0 of ${requests} requests failed\n`);
  });

  test('replaces a container of two services, which the engine removes by itself, by its twin', {
    timeout: 2 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    const both = { 'pointsman.web.port': '8080', 'pointsman.admin.port': '8080' };
    await one.startApp('blue', both, '--publish=8081:8080', '--rm', version(1));
    await until('both are registered', async () => (await hosts.keys('instances/')).length === 2, patience);
    await serve('blue version 1');
    const load = hosts.load('admin');
    await load.sees('blue version 1');
    const labels = Object.entries(both).map(([label, value]) => `--label ${label}=${value}`).join(' '); // biome-ignore format: one chain
    const command = `nsenter -t ${one.engine.pid} -m -n docker run --detach --name green --hostname green ${labels} --publish=8082:8080 ${version(2)} --volume ${hosts.folder}/app.mjs:/srv/app.mjs:ro pointsman-base-node node /srv/app.mjs >/dev/null`;
    const seconds = await rollOut(...engineOf(one), 'web', '--', 'sh', '-c', command);
    await load.sees('green version 2');
    const requests = await expectNoLoss(load, 'green version 2');
    process.stderr.write(`start-first, a container of two services: ${seconds} s, 0 of ${requests} requests failed\n`);
    expect(await hosts.keys('instances/')).toEqual(['instances/admin/one-green', 'instances/web/one-green']);
  });

  test('stop drains each service of a container, stops a paused one, and one whose agent is gone', {
    timeout: 3 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    const both = { 'pointsman.web.port': '8080', 'pointsman.admin.port': '8080' };
    await one.startApp('both', both, published);
    await one.startApp('frozen', web, published);
    await one.startApp('orphan', web, published);
    await until('all are registered', async () => (await hosts.keys('instances/')).length === 4, patience);
    const stop = (container: string) => one.pointsman('stop', ...engineOf(one), container);
    expect(await stop('both')).toEqual({
      code: 0,
      output: expect.stringMatching(/no other instance of admin takes requests[\s\S]*both: drained and stopped$/),
    });
    await one.docker(['pause', 'frozen']);
    await until('the paused one is out', async () => (await hosts.keys('instances/')).length === 1, patience);
    expect(await stop('frozen')).toEqual({ code: 0, output: 'frozen: stopped; no agent had registered it' });
    const agent = agents.get(one);
    agent?.kill('SIGKILL');
    await agent?.ended;
    expect(await stop('orphan')).toMatchObject({
      code: 0,
      output: expect.stringMatching(/orphan: drained and stopped$/),
    });
    expect(await running(one)).toEqual(['']);
    await until('its lease has ended', async () => (await hosts.keys('instances/')).length === 0, patience);
    agents.set(one, one.startAgent());
    expect(await hosts.keys('overrides/')).toEqual([]);
  });
});
