import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Registry, Session } from '../src/registry/registry.ts';
import { ask } from './support/ask.ts';
import { type ServedContainer, startEngineServer } from './support/engine-server.ts';
import { freePort } from './support/ports.ts';
import { startPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

// What a real engine does is in test/containers. Here is what it cannot be made to do at a given moment.

const labels = { 'pointsman.service': 'web', 'pointsman.network': 'net' };
const web = (name: string, more: Partial<ServedContainer> = {}): ServedContainer => ({ name, labels, ...more });

async function start(options: Parameters<typeof startEngineServer>[1] = {}) {
  const scenario = await startRegistration('folder');
  const { dir, location, recorder } = scenario;
  const engine = await startEngineServer(join(dir, 'engine.sock'), options);
  const agent = (...more: readonly string[]) => {
    const flags = ['--registry', location, '--containers', engine.address, '--ttl', '30s', ...more];
    return startPointsman(['register', ...flags], { env: { HOSTNAME: 'node7' } });
  };
  const prefix = 'instances/web/';
  /** The instances, by the names of their containers. */
  const present = () =>
    [...recorder.view.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(key.lastIndexOf('-', key.lastIndexOf('-') - 1) + 1))
      .sort();
  const idOf = (name: string) =>
    [...recorder.view.keys()].find((key) => key.endsWith(`-${name}`))?.slice('instances/'.length);
  return { ...scenario, engine, agent, present, idOf };
}

/** A balancer that lives and never says what it serves: a leave waits for it, until it is closed. */
async function openSilentBalancer(registry: Registry): Promise<Session> {
  const balancer = registry.openSession({ ttlMs: 60_000, mayReplace: () => true, onEvent: () => undefined });
  await balancer.put('balancers/lb', '{"format":1}');
  return balancer;
}

test('an agent announces the containers that run, and follows those that come and go', async () => {
  const { engine, agent, present, states, idOf } = await start();
  engine.put('a', web('web-1'));
  engine.put('b', { name: 'other-1', labels: {} });
  engine.put('c', web('web-3', { health: 'starting' }));
  const process = agent();
  await until('the first is there', () => present().join() === 'web-1');
  engine.put('d', web('web-4', { address: '10.9.0.4' }), 'start');
  await until('one comes', () => present().join() === 'web-1,web-4');
  engine.put('c', web('web-3', { health: 'healthy' }), 'health_status: healthy');
  await until('one becomes healthy', () => present().join() === 'web-1,web-3,web-4');
  const name = idOf('web-4') ?? '';
  engine.put('d', web('web-4', { status: 'exited' }), 'die');
  await until('one crashes', () => present().join() === 'web-1,web-3');
  expect(states(name)).toEqual(['ready', 'draining', 'deleted']);
  engine.put('c', web('web-3', { health: 'unhealthy' }), 'health_status: unhealthy');
  await until('one becomes unhealthy', () => present().join() === 'web-1');
  await process.logged('unhealthy');
  process.kill('SIGTERM');
  expect((await process.ended).code).toBe(0);
});

test('a container leaves at SIGTERM before its engine says more', async () => {
  const { engine, agent, present } = await start();
  engine.put('a', web('web-1'));
  agent();
  await until('it is there', () => present().length === 1);
  // It still runs, as an inspection says.
  engine.send('a', 'kill', { signal: '15' });
  await until('it is gone', () => present().length === 0);
  engine.put('a', web('web-1', { startedAt: new Date().toISOString() }), 'start');
  await until('its next run is there', () => present().length === 1);
});

test('a container with a harmless stop signal leaves first, and then gets SIGTERM', async () => {
  const { engine, agent, present, states, idOf } = await start();
  engine.put('a', web('web-1', { stopSignal: 'SIGURG' }));
  const process = agent();
  const name = await until('it is there', () => idOf('web-1'));
  engine.send('a', 'kill', { signal: '23' });
  await until('the signal is passed on', () => engine.requests.includes('POST /containers/a/kill'));
  expect(present()).toEqual([]);
  expect(states(name)).toEqual(['ready', 'draining', 'deleted']);
  await process.logged('container-left');
});

test('a container that is renamed while it leaves is drained before it gets SIGTERM', async () => {
  const { engine, agent, idOf, states, present, registry } = await start();
  const sigurg = { stopSignal: 'SIGURG' };
  engine.put('a', web('web-1', sigurg));
  const balancer = await openSilentBalancer(registry);
  const process = agent();
  const name = await until('it is there', () => idOf('web-1'));
  engine.send('a', 'kill', { signal: '23' });
  await until('it drains', () => states(name).at(-1) === 'draining');
  engine.put('a', web('web-2', sigurg), 'rename');
  // The agent has seen the rename once it announces a container that came later.
  engine.put('b', web('web-3', { address: '10.9.0.3' }), 'start');
  await until('the next one is there', () => idOf('web-3'));
  expect(present()).toEqual(['web-1', 'web-3']);
  expect(engine.requests).not.toContain('POST /containers/a/kill');
  await balancer.close();
  await until('the signal is passed on', () => engine.requests.includes('POST /containers/a/kill'));
  expect(present()).toEqual(['web-3']);
  await process.logged('container-left');
  expect(process.log.map(({ event }) => event)).not.toContain('second-agent');
});

test('a second agent of the engine sends no SIGTERM while the first one drains', async () => {
  const { engine, agent, idOf, states, present, registry } = await start();
  engine.put('a', web('web-1', { stopSignal: 'SIGURG' }));
  const balancer = await openSilentBalancer(registry);
  const first = agent();
  const name = await until('it is there', () => idOf('web-1'));
  // It finds the id taken by another address, as one that looks for its addresses in another way does.
  engine.put('a', web('web-1', { stopSignal: 'SIGURG', address: '10.9.0.2' }));
  const second = agent();
  await second.logged('engine-connected');
  engine.send('a', 'kill', { signal: '23' });
  expect(await second.logged('second-agent')).toMatchObject({ container: 'web-1', keys: [`instances/${name}`] });
  await until('it drains', () => states(name).at(-1) === 'draining');
  expect(engine.requests).not.toContain('POST /containers/a/kill');
  await balancer.close();
  await until('the signal is passed on', () => engine.requests.includes('POST /containers/a/kill'));
  expect(present()).toEqual([]);
  await Promise.all([first, second].map((one) => one.logged('container-left')));
});

test('an agent that ends while a container leaves ends the application of the container first', async () => {
  const { engine, agent, idOf, states, registry } = await start();
  engine.put('a', web('web-1', { stopSignal: 'SIGURG' }));
  const balancer = await openSilentBalancer(registry);
  const process = agent();
  const name = await until('it is there', () => idOf('web-1'));
  engine.send('a', 'kill', { signal: '23' });
  await until('it drains', () => states(name).at(-1) === 'draining');
  process.kill('SIGTERM');
  await process.logged('leaving');
  await balancer.close();
  expect((await process.ended).code).toBe(0);
  expect(engine.requests).toContain('POST /containers/a/kill');
});

test('a proxy that allows only GET is enough for all but the SIGTERM, which the log says', async () => {
  const { engine, agent, present } = await start({ forbidden: ['POST'] });
  engine.put('a', web('web-1', { stopSignal: 'SIGURG' }));
  const process = agent();
  await until('it is there', () => present().length === 1);
  engine.send('a', 'kill', { signal: '23' });
  await until('it is gone', () => present().length === 0);
  expect(await process.logged('container-not-ended')).toMatchObject({
    msg: expect.stringContaining('a socket proxy, or an authorization plugin, does not allow it'),
  });
});

test('podman tells of a stop only when it is asked', async () => {
  const { engine, agent, present } = await start({ podman: true });
  engine.put('a', web('web-1', { stopSignal: 'SIGURG' }));
  engine.put('b', web('web-2'));
  agent();
  await until('both are there', () => present().length === 2);
  engine.put('a', web('web-1', { stopSignal: 'SIGURG', status: 'stopping' }));
  engine.put('b', web('web-2', { status: 'stopping' }));
  await until('both are gone', () => present().length === 0);
  await until('the one gets SIGTERM', () => engine.requests.includes('POST /containers/a/kill'));
  expect(engine.requests).not.toContain('POST /containers/b/kill');
});

test('instances stay while the engine is away, which its admin port says, and everything is read again after it', async () => {
  const { engine, agent, present, recorder } = await start();
  engine.put('a', web('web-1'));
  engine.put('b', web('web-2'));
  const port = await freePort();
  const process = agent('--admin', `127.0.0.1:${port}`);
  await until('both are there', () => present().length === 2);
  const asked = (path: string) => ask(port, 'localhost', path);
  expect(await asked('/readyz')).toEqual({ status: 200, body: 'ready\n' });
  const announced = 'pointsman_register_instances{service="web",state="announced"} 2\n';
  await until('the metric says so', async () => (await asked('/metrics')).body.includes(announced));
  await engine.close();
  await process.logged('engine-unavailable');
  await until('it is not ready', async () => (await asked('/readyz')).status === 503);
  expect((await asked('/readyz')).body).toMatch(
    /^engine: pointsman does not follow the containers of the engine: .*\n$/,
  );
  expect((await asked('/metrics')).body).toContain('pointsman_register_engine_connected 0\n');
  const before = recorder.changes.length;
  engine.remove('a');
  engine.put('c', web('web-3'));
  await engine.listen();
  await until('what changed meanwhile is seen', () => present().join() === 'web-2,web-3');
  expect(recorder.changes.slice(before).filter((change) => change.includes('web-2'))).toEqual([]);
  await until('it is ready again', async () => (await asked('/readyz')).status === 200);
});

test('events that were lost with a cut stream are made up for', async () => {
  const { engine, agent, present } = await start();
  engine.put('a', web('web-1'));
  agent();
  await until('it is there', () => present().length === 1);
  engine.put('b', web('web-2'));
  engine.remove('a');
  engine.cut();
  await until('the stream is followed again', () => engine.followed);
  await until('both changes are seen', () => present().join() === 'web-2');
});

test('an agent that restarts drops nothing that still runs', async () => {
  const { engine, agent, present, recorder } = await start();
  engine.put('a', web('web-1'));
  const process = agent();
  await until('it is there', () => present().length === 1);
  process.kill('SIGTERM');
  expect((await process.ended).code).toBe(0);
  const next = agent();
  await next.logged('announced');
  expect(recorder.changes.filter((change) => change.includes('delete') || change.includes('draining'))).toEqual([]);
  next.kill('SIGKILL');
  await next.ended;
  await agent('--containers-on-stop', 'leave').logged('announced');
  expect(present()).toEqual(['web-1']);
});

test('an agent that is told so takes its containers out when it ends', async () => {
  const { engine, agent, present, states, idOf } = await start();
  engine.put('a', web('web-1'));
  const process = agent('--containers-on-stop', 'leave');
  const name = await until('it is there', () => idOf('web-1'));
  process.kill('SIGTERM');
  expect((await process.ended).code).toBe(0);
  await until('it is gone', () => present().length === 0);
  expect(states(name)).toEqual(['ready', 'draining', 'deleted']);
});

test('two containers cannot have the same instance: the older one keeps it', async () => {
  const { engine, agent, present, recorder } = await start();
  const same = { ...labels, 'pointsman.id': 'host-web-x' };
  engine.put('a', { name: 'web-1', labels: same, address: '10.9.0.1' });
  const process = agent();
  await until('the first is there', () => present().length === 1);
  engine.put('b', { name: 'web-2', labels: same, address: '10.9.0.2' }, 'start');
  const refused = await process.logged('labels-refused');
  expect(refused).toMatchObject({
    container: 'web-2',
    reason: 'web/host-web-x is declared by container web-1 already',
  });
  engine.remove('a', 'die');
  await until('the other one has it', () => recorder.view.get('instances/web/host-web-x')?.value.includes('10.9.0.2'));
});

test('a container changes the policy of its service when it is announced, and one with a mistake in it is not announced', async () => {
  const { engine, agent, present, recorder } = await start();
  const asks = (name: string, policy: string, more: Partial<ServedContainer> = {}) =>
    web(name, { labels: { ...labels, 'pointsman.policy': policy }, ...more });
  const policy = () => recorder.view.get('services/web')?.value;
  const labelsOfHost = () => [...recorder.view].find(([key]) => key.startsWith('labels/web/'))?.[1].value;
  const firstOf = (prefix: string) => recorder.changes.findIndex((change) => change.includes(prefix));
  engine.put('a', asks('web-1', '{"hosts":["one.example"]}'));
  const process = agent();
  await until('the first is there', () => present().join() === 'web-1');
  expect(firstOf('services/web')).toBeLessThan(firstOf('instances/web/'));
  expect(firstOf('services/web')).toBeGreaterThanOrEqual(0);
  engine.put(
    'b',
    asks('web-2', '{"hosts":["two.example"]}', { health: 'starting', createdAt: '2026-01-02T00:00:00Z' }),
    'start',
  );
  engine.put('c', asks('web-3', '{"hostz":[]}', { createdAt: '2026-01-03T00:00:00Z' }), 'start');
  expect(await process.logged('labels-refused')).toMatchObject({ container: 'web-3' });
  await until('the agent has read it', () => labelsOfHost()?.includes('web-2'));
  expect(policy()).toContain('one.example');
  engine.put('b', asks('web-2', '{"hosts":["two.example"]}', { health: 'healthy', createdAt: '2026-01-02T00:00:00Z' }), 'health_status: healthy'); // biome-ignore format: one event
  await until('the policy is that of the second', () => policy()?.includes('two.example'));
  expect(present()).toEqual(['web-1', 'web-2']);
});

test('500 containers of a machine are announced, and gone when they are', async () => {
  const { engine, agent, present } = await start();
  for (let i = 0; i < 500; i += 1) engine.put(`c${i}`, web(`web-${i}`, { address: `10.9.${i >> 8}.${i & 255}` }));
  agent();
  await until('all are there', () => present().length === 500);
  for (const id of [...engine.containers.keys()]) engine.remove(id, 'die');
  await until('none is there', () => present().length === 0);
});
