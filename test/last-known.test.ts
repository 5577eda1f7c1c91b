import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

async function startApps(...names: readonly string[]) {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  return apps.map(({ address }) => address);
}

type Scenario = Awaited<ReturnType<typeof startScenario>>;
const status = async (scenario: Scenario) => JSON.parse((await scenario.askAdmin('/status')).body);

/** Asks without pause until it is ended, and gives what was not answered by one of `names`. */
function keepAsking(scenario: Scenario, names: readonly string[]) {
  let on = true;
  const wrong: string[] = [];
  const asking = (async () => {
    while (on) {
      const { status: code, body } = await scenario.ask('web');
      if (code !== 200 || !names.includes(body)) wrong.push(`${code} ${body}`);
    }
  })();
  return async () => {
    on = false;
    await asking;
    return wrong;
  };
}

test('a balancer that starts while etcd is away serves what it knew, says so, and catches up without losing a request', async () => {
  const scenario = await startScenario('etcd');
  const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
  scenario.register('a', a);
  scenario.register('b', b);
  await scenario.writeByHand('services/web', '{"balance":"leastconn"}');
  const first = scenario.balancer();
  await scenario.serves('web', ['a', 'b']);
  first.kill('SIGTERM');
  await first.ended;
  const [member] = scenario.etcd?.members ?? [];
  await member?.stop();

  const before = Date.now();
  const second = scenario.balancer();
  expect(await second.logged('last-known')).toMatchObject({ age: expect.any(String), revision: expect.any(String) });
  await second.logged('serving');
  expect(await scenario.answers('web')).toEqual(['a', 'b']);
  const away = await status(scenario);
  expect(away).toMatchObject({ ready: true, registry: { connected: false, reason: expect.any(String) } });
  expect(Date.parse(away.registry.lastKnown)).toBeLessThanOrEqual(before);
  expect(away.registry.staleMs).toBeGreaterThanOrEqual(before - Date.parse(away.registry.lastKnown));

  const stopAsking = keepAsking(scenario, ['a', 'b', 'c']);
  member?.start();
  await scenario.etcd?.healthy();
  await second.logged('registry-connected');
  scenario.register('c', c);
  await scenario.serves('web', ['a', 'b', 'c'], 30_000);
  expect(await stopAsking()).toEqual([]);
  const back = await status(scenario);
  expect(back.registry).toMatchObject({ connected: true, staleMs: 0 });
  expect(back.registry.lastKnown).toBeUndefined();
  expect(back.guarded).toEqual([]);
});

test('what was lost in a mass while no balancer ran is held, and what is held is held on by the next one', {
  timeout: 120_000,
}, async () => {
  const scenario = await startScenario('etcd');
  const names = ['a', 'b', 'c', 'd'];
  const apps = await startApps(...names);
  await scenario.writeByHand('services/web', '{"balance":"leastconn"}');
  const registrations = names.map((id, i) => scenario.registerMortal(id, apps[i] ?? ''));
  const first = scenario.balancer();
  await scenario.serves('web', names, 30_000);
  first.kill('SIGTERM');
  await first.ended;
  for (const registration of registrations) registration.kill('SIGKILL');
  await until('their leases have run out', async () => (await scenario.etcd?.ctl('get', '--prefix', '--keys-only', '/pointsman/instances/')) === '', { deadlineMs: 30_000, everyMs: 100 }); // biome-ignore format: a call

  const second = scenario.balancer();
  await second.logged('serving');
  await until('all are held', async () => (await status(scenario)).guarded[0]?.instances.length === 4);
  expect(await scenario.answers('web')).toEqual(names);
  expect((await status(scenario)).guarded[0]).toMatchObject({ service: 'web', lost: 4, of: 4 });
  second.kill('SIGTERM');
  await second.ended;

  const third = scenario.balancer();
  await third.logged('serving');
  await third.logged('registry-connected');
  await third.logged('guard-held');
  expect(await scenario.answers('web')).toEqual(names);
  expect((await status(scenario)).guarded[0]).toMatchObject({ service: 'web', lost: 4, of: 4 });

  expect((await runPointsman(['release', 'web', '--registry', scenario.location])).code).toBe(0);
  await until('nobody serves', async () => (await scenario.ask('web')).status >= 500);
  expect((await scenario.askAdmin('/metrics')).body).not.toContain('pointsman_guard_held_instances{');
  third.kill('SIGTERM');
  await third.ended;
  const fourth = scenario.balancer();
  await fourth.logged('serving');
  await fourth.logged('registry-connected');
  expect((await status(scenario)).guarded).toEqual([]);
});
