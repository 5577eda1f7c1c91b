import { request } from 'node:http';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('an operator sees what is served, and why something is not', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('instances/web/b', JSON.stringify({ address: b, state: 'draining' }));
  await scenario.writeByHand('instances/web/broken', '10.0.0.1:port');
  // Nobody listens there.
  await scenario.writeByHand('instances/web/dead', '127.0.0.1:1');
  const balancer = scenario.balancer();
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  const json = async (path: string) => JSON.parse((await scenario.askAdmin(path)).body);

  const explained = async (id: string) => json(`/explain/web/${id}`);
  expect(await explained('a')).toMatchObject({ verdict: 'served', because: 'it gets requests' });
  expect(await explained('b')).toMatchObject({ verdict: 'not served', because: expect.stringContaining('draining') });
  expect(await explained('broken')).toMatchObject({ verdict: 'not served', because: expect.stringContaining('port') });
  expect(await explained('nobody')).toMatchObject({ verdict: 'not served', because: 'the registry has no such key' });
  await until('HAProxy has found it dead', async () => (await explained('dead')).because.startsWith('DOWN'));
  const { findings } = await explained('dead');
  expect(findings).toContainEqual({ stage: 'health', state: 'bad', says: expect.stringContaining('L4CON') });
  expect((await scenario.askAdmin('/explain/web/no%0Aname')).status).toBe(400);

  const [web] = await json('/services');
  expect(web).toMatchObject({ name: 'web', instances: 3, ready: 2, up: 1, routes: ['web.*/', 'web/'] });
  expect(web.traffic.answers['2xx']).toBeGreaterThan(0);
  const detail = await json('/services/web');
  expect(
    detail.instancesById.map(
      ({ id, traffic }: { id: string; traffic: { status: string } }) => `${id} ${traffic.status}`,
    ),
  ).toEqual(['a UP', 'b UP', 'dead DOWN']);
  expect((await scenario.askAdmin('/services/api')).status).toBe(404);
});

test('what happened last is told, with the time that each stage took, to those who ask and to those who listen', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  // What is logged to standard error does not matter.
  scenario.balancer('--log-level', 'error');
  await scenario.serves('web', ['a']);

  let heard = '';
  const listening = request({ host: '127.0.0.1', port: scenario.admin, path: '/events/stream' });
  await new Promise<void>((resolve, reject) => {
    listening.on('error', reject).on('response', (response) => {
      response
        .on('error', () => undefined)
        .on('data', (chunk: Buffer) => {
          heard += chunk.toString();
        });
      resolve();
    });
    listening.end();
  });
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);

  const events = JSON.parse((await scenario.askAdmin('/events?most=50')).body);
  const applied = events.findLast(({ event }: { event: string }) => event === 'applied');
  expect(applied).toMatchObject({
    changes: 1,
    revision: expect.stringMatching(/^\d+$/),
    what: [expect.stringContaining('add server web/b')],
  });
  expect(Object.keys(applied.stages)).toEqual(['wait', 'render', 'command']);
  await until('the listener heard it', () => heard.includes('add server web/b'));
  const after = JSON.parse((await scenario.askAdmin(`/events?after=${applied.id - 1}&most=1`)).body);
  expect(after).toHaveLength(1);
  listening.destroy();
});
