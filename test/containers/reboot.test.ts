import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { PointsmanProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Hosts, startHosts } from './hosts.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['node']);
if (reason !== undefined) process.stderr.write(`reboots of hosts with containers are not tested: ${reason}\n`);

const web = { 'pointsman.service': 'web', 'pointsman.port': '8080', 'pointsman.check': 'http:///health' };
const flags = ['--publish=8080', '--restart=unless-stopped'];
const minute = 60_000;

describe.skipIf(reason !== undefined)('a host with containers that reboots', () => {
  let hosts: Hosts;
  let agent: PointsmanProcess;
  let output: readonly string[] = [];
  beforeAll(async () => {
    hosts = await startHosts();
    hosts.one.startAgent();
    startAgent();
  }, 15 * minute);
  afterAll(() => hosts?.close(), 2 * minute);
  afterEach(() => hosts.removeContainers(), minute);

  function startAgent(): void {
    agent = hosts.two.startAgent();
    output = agent.output;
  }
  const printLogsOnFailure = () => onTestFailed(() => void process.stderr.write(`${output.slice(-40).join('\n')}\n`));
  const serve = (...answers: readonly string[]) =>
    until(
      `${answers.join(', ')} answer at both balancers`,
      async () => (await hosts.one.answers()).join() === answers.join() && (await hosts.two.answers()).join() === answers.join(),
      patience,
    ); // biome-ignore format: one wait
  const startBoth = async (...more: readonly string[]) => {
    await hosts.one.startApp('web-1', web, ...flags);
    await hosts.two.startApp('web-2', web, ...flags, ...more);
    await serve('web-1 version 1', 'web-2 version 1');
  };

  test('a power cut takes its instances out after --ttl, and they are back under their names after the start', {
    timeout: 3 * minute,
  }, async () => {
    printLogsOnFailure();
    await startBoth();
    agent.kill('SIGKILL');
    await hosts.two.engine.cutPower();
    await until('its lease has ended', async () => (await hosts.keys('instances/')).join() === 'instances/web/one-web-1', patience); // biome-ignore format: one wait
    await serve('web-1 version 1');
    // The agent may be there before the engine.
    startAgent();
    await agent.logged('engine-unavailable');
    await hosts.two.engine.begin();
    await serve('web-1 version 1', 'web-2 version 1');
    expect(await hosts.keys('instances/')).toEqual(['instances/web/one-web-1', 'instances/web/two-web-2']);
  });

  test('a shutdown of the engine loses no request where the stop signal is SIGURG, and ends the applications', {
    timeout: 3 * minute,
  }, async () => {
    printLogsOnFailure();
    // The engine waits longer for a container that gets no SIGTERM than this test does.
    await startBoth('--stop-signal=SIGURG', '--stop-timeout=300');
    const load = hosts.load();
    await load.sees('web-1 version 1', 'web-2 version 1');
    await hosts.two.engine.shutDown();
    await agent.logged('container-left', ({ msg }) => msg.includes('first process'));
    await serve('web-1 version 1');
    await hosts.two.engine.begin();
    await serve('web-1 version 1', 'web-2 version 1');
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  });
});
