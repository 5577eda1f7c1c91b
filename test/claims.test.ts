import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('no policy takes the requests of another service; operators say which hosts and priorities a service may have', async () => {
  const scenario = await startScenario('etcd');
  const [web = '', shop = '', evil = ''] = await startApps('web', 'shop', 'evil');
  await scenario.writeByHand('instances/web/a', web);
  await scenario.writeByHand('services/shop', '{"hosts":["shop.example"]}');
  await scenario.writeByHand('instances/shop/a', shop);
  await scenario.writeByHand('instances/evil/a', evil);
  const balancer = scenario.balancer();
  await scenario.serves('shop.example', ['shop']);
  const see = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  const conflictsIn = async (...command: readonly string[]) =>
    (await runPointsman([...command, ...see])).stdout.filter((line) => /priority|route|host/.test(line)).join('\n');
  const others = async () =>
    [await scenario.answers('web'), await scenario.answers('web.local'), await scenario.answers('shop.example')].flat();

  await scenario.writeByHand('services/evil', '{"hosts":["*","shop.example","web"],"priority":1000}');
  await scenario.serves('else.example', ['evil']);
  expect(await others()).toEqual(['web', 'web', 'shop']);
  const wait = (...more: readonly string[]) =>
    runPointsman(['wait', 'evil/a', '--registry', scenario.location, ...more]);
  expect((await wait()).code).toBe(0);
  const [route, priority] = [
    'evil does not get the route shop.example/: shop has it, and its policy is older',
    'the priority 1000 of evil counts as 0 over web: no claim allows more (claims/evil, else claims/*)',
  ];
  const status = await conflictsIn('status');
  expect(status).toContain(route);
  expect(status).toContain(priority);
  expect(await conflictsIn('explain', 'shop/a')).toContain(route);
  expect(await conflictsIn('explain', 'web/a')).toContain(priority);
  expect(await conflictsIn('explain', 'evil/a')).toContain(route);
  expect(await conflictsIn('explain', 'evil/a')).toContain(priority);

  // Its hosts are bounded, then its priority allowed, without a reload.
  const reloads = async () =>
    Number(/^pointsman_reloads_total\S* (\d+)$/m.exec((await scenario.askAdmin('/metrics')).body)?.[1] ?? 0);
  const before = await reloads();
  await scenario.writeByHand('claims/*', '{"hosts":["shop.example"]}');
  await until('the host is left out', async () => (await scenario.ask('else.example')).status === 404);
  expect(await conflictsIn('explain', 'evil/a')).toContain(
    'evil does not get the hosts *, web: no claim allows them (claims/evil, else claims/*)',
  );
  expect(await others()).toEqual(['web', 'web', 'shop']);
  // Now it has no route at all.
  const waited = await wait('--timeout', '1s');
  expect([waited.code, ...waited.stderr]).toEqual([1, expect.stringContaining(`gives it no requests: ${route}`)]);
  await scenario.writeByHand('claims/evil', '{"hosts":["*"],"priority":1}');
  await scenario.serves('shop.example', ['evil']);
  expect(await others()).toEqual(['evil', 'evil', 'evil']);
  expect((await wait()).code).toBe(0);
  await scenario.etcd?.ctl('del', '/pointsman/claims/evil');
  await scenario.serves('shop.example', ['shop']);
  expect(await reloads()).toBe(before);

  // A balancer that starts without etcd knows from its folder whose policy is older.
  await scenario.writeByHand('claims/*', '{}');
  await scenario.serves('else.example', ['evil']);
  await until('it is on the disk', async () => {
    const kept = await readFile(join(scenario.balancerDir, 'state/catalog.json'), 'utf8');
    return !kept.includes('claims/evil') && kept.includes('"claims/*","{}"');
  });
  await scenario.etcd?.close();
  balancer.kill('SIGTERM');
  await balancer.ended;
  scenario.balancer();
  await scenario.serves('else.example', ['evil']);
  expect(await others()).toEqual(['web', 'web', 'shop']);
});
