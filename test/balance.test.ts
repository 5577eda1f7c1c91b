import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { signal } from '../src/haproxy/processes.ts';
import { startApps } from './support/app.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

describe.each(['folder', 'etcd'] as const)('with the registry in %s', (kind) => {
  test('instances that register are served, and those that leave or die are not', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
    const balancer = scenario.balancer();
    const [one, two] = [scenario.register('a', a), scenario.registerMortal('b', b)];
    scenario.register('c', c);
    await balancer.logged('serving');
    await scenario.serves('web', ['a', 'b', 'c']);

    one.kill('SIGTERM');
    expect(await one.ended).toEqual({ code: 0, signal: null });
    await scenario.serves('web', ['b', 'c']);

    two.kill('SIGKILL');
    await scenario.serves('web', ['c'], 20_000);
    expect(balancer.log.filter(({ event }) => event === 'reloaded').length).toBeLessThanOrEqual(1);
  });

  test('a key written by hand is served like a registration', async () => {
    const scenario = await startScenario(kind);
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/w1', `${a}\n`.trim());
    await scenario.balancer().logged('serving');
    await scenario.serves('web', ['a']);
  });

  test('a balancer that is ended ends its HAProxy, and the next one begins where it was', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = ''] = await startApps('a', 'b');
    scenario.register('a', a);
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    first.kill('SIGTERM');
    expect(await first.ended).toEqual({ code: 0, signal: null });
    await expect(scenario.ask('web')).rejects.toThrow('ECONNREFUSED');

    scenario.register('b', b);
    scenario.balancer();
    await scenario.serves('web', ['a', 'b']);
  });

  test('a balancer that is killed interrupts nothing, and the next one takes over without a reload', async () => {
    const scenario = await startScenario(kind);
    const [a = '', b = ''] = await startApps('a', 'b');
    scenario.register('a', a);
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    // HAProxy serves a moment before its start is known to be done; killed just then, the next one reloads to be sure.
    await first.logged('serving');
    first.kill('SIGKILL');
    await first.ended;
    expect(await scenario.answers('web')).toEqual(['a']);

    scenario.register('b', b);
    const second = scenario.balancer();
    await second.logged('haproxy-adopted');
    await scenario.serves('web', ['a', 'b']);
    expect(second.log.filter(({ event }) => event === 'reloaded')).toEqual([]);

    // It is not a child of this one, and is looked after all the same.
    const { masterPid, workerPid } = (await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000)) ?? {};
    for (const pid of [masterPid, workerPid]) if (pid !== undefined) signal(pid, 'SIGKILL');
    await second.logged('haproxy-exited');
    await scenario.serves('web', ['a', 'b'], 20_000);
  });

  test('metrics, health and status tell what is going on', async () => {
    const scenario = await startScenario(kind);
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/a', a);
    await scenario.writeByHand('instances/web/bad', '10.0.0.1:http');
    const balancer = scenario.balancer();
    await balancer.logged('serving');
    await until('the revision is applied', async () => {
      const { revisionSeen, revisionApplied } = JSON.parse((await scenario.askAdmin('/status')).body);
      return revisionSeen === revisionApplied;
    });
    expect(await scenario.askAdmin('/healthz')).toEqual({ status: 200, body: 'ok\n' });
    expect(await scenario.askAdmin('/readyz')).toEqual({ status: 200, body: 'ready\n' });
    const metrics = (await scenario.askAdmin('/metrics')).body;
    expect(metrics).toContain('pointsman_instances{service="web"} 1');
    expect(metrics).toContain('pointsman_registry_connected 1');
    expect(metrics).toContain('pointsman_rejected_entries 1');
    const { rejected } = JSON.parse((await scenario.askAdmin('/status')).body);
    expect(rejected).toEqual([
      { key: 'instances/web/bad', reason: '"http" is not a port: 1 to 65535', lastGoodServes: false },
    ]);
  });
});

test('etcd that goes away changes nothing, and what changed meanwhile is served when it is back', async () => {
  const scenario = await startScenario('etcd');
  const [member] = scenario.etcd?.members ?? [];
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a']);
  await member?.stop();
  await balancer.logged('registry-disconnected');
  expect(await scenario.answers('web')).toEqual(['a']);

  member?.start();
  await scenario.etcd?.healthy();
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
});

test('instances that are lost all at once are held by the balancer until an operator says that the loss is real', async () => {
  const scenario = await startScenario('etcd');
  const apps = await startApps('a', 'b', 'c', 'd');
  const registrations = ['a', 'b', 'c', 'd'].map((id, i) => scenario.registerMortal(id, apps[i] ?? ''));
  const balancer = scenario.balancer('--guard-window', '20s');
  await scenario.serves('web', ['a', 'b', 'c', 'd']);
  for (const registration of registrations) registration.kill('SIGKILL');
  await balancer.logged('guard-held');
  await until('all are held', async () => {
    const { guarded } = JSON.parse((await scenario.askAdmin('/status')).body);
    return guarded[0]?.instances.length >= 3;
  });
  expect((await scenario.answers('web')).length).toBeGreaterThanOrEqual(3);
  const { code, stdout } = await runPointsman(['release', 'web', '--registry', scenario.location]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: [expect.stringContaining('web: balancers stop holding')] });
  await balancer.logged('guard-let-go', ({ reason }) => reason === 'released');
  await until('nobody serves', async () => (await scenario.ask('web')).status >= 400);
});
