import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { PointsmanProcess } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { whyNoEngine } from './engine.ts';
import { type Hosts, startHosts } from './hosts.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['node']);
if (reason !== undefined) process.stderr.write(`stops that an agent missed are not tested: ${reason}\n`);

const web = { 'pointsman.service': 'web', 'pointsman.port': '8080' };
const published = '--publish=8080';
const minute = 60_000;

// The stop while the socket is missing is in labels.test.ts.
describe.skipIf(reason !== undefined)('a container that is stopped while its agent does not run', () => {
  let hosts: Hosts;
  const agents: PointsmanProcess[] = [];
  const startAgent = (): PointsmanProcess => {
    const agent = hosts.one.startAgent();
    agents.push(agent);
    return agent;
  };
  const kill = async (agent: PointsmanProcess): Promise<void> => {
    agent.kill('SIGKILL');
    await agent.ended;
  };
  beforeAll(async () => {
    hosts = await startHosts();
  }, 15 * minute);
  afterAll(() => hosts?.close(), 2 * minute);
  afterEach(async () => {
    await hosts.removeContainers();
    for (const agent of agents.splice(0)) await kill(agent);
  }, minute);
  const printLogsOnFailure = () =>
    onTestFailed(() => {
      for (const { output } of agents) process.stderr.write(`--- an agent\n${output.slice(-40).join('\n')}\n`);
    });
  const isRegistered = async () => (await hosts.keys('instances/')).includes('instances/web/one-web-1');
  const runs = async () => (await hosts.one.docker(['inspect', '--format', '{{.State.Running}}', 'web-1'])) === 'true';

  test('leaves without losing a request, and gets SIGTERM, where its stop signal is SIGURG', {
    timeout: 2 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one, two } = hosts;
    agents.push(two.startAgent());
    const first = startAgent();
    await one.startApp('web-1', web, published, '--stop-signal=SIGURG', '--stop-timeout=60');
    await two.startApp('web-2', web, published);
    for (const { answers } of [one, two]) {
      await until('both answer', async () => (await answers()).join() === 'web-1 version 1,web-2 version 1', patience);
    }
    const load = hosts.load();
    await load.sees('web-1 version 1', 'web-2 version 1');
    await kill(first);
    const { ended } = await one.beginStop('web-1');
    const next = startAgent();
    // That of an application that got SIGTERM. SIGKILL would make it 137.
    expect(await ended).toBe('0');
    const { balancers } = await next.logged('let-go', ({ id }) => id === 'one-web-1');
    expect(balancers).toBe(2);
    expect(next.log.filter(({ event }) => event === 'announced')).toEqual([]);
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
  });

  test('and goes on for a while after SIGTERM, is out as soon as the agent is back, and stays out', {
    timeout: 2 * minute,
  }, async () => {
    printLogsOnFailure();
    const { one } = hosts;
    const first = startAgent();
    await one.startApp('web-1', web, published, '--env=LINGER=120000', '--stop-timeout=300');
    await until('it is registered', isRegistered, patience);
    await kill(first);
    const { ended } = await one.beginStop('web-1');
    expect(await isRegistered()).toBe(true);
    const next = startAgent();
    await next.logged('left', ({ id }) => id === 'one-web-1');
    expect(await isRegistered()).toBe(false);
    await kill(next);
    const third = startAgent();
    await third.logged('engine-connected');
    // What runs besides is announced, so this agent is complete.
    await one.startApp('web-3', web, published);
    await third.logged('announced', ({ id }) => id === 'one-web-3');
    expect(await isRegistered()).toBe(false);
    expect(await runs()).toBe(true);
    await one.docker(['kill', '--signal=KILL', 'web-1']);
    await ended;
    expect(third.log.filter(({ event, id }) => event === 'announced' && id === 'one-web-1')).toEqual([]);
  });
});
