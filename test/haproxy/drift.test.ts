import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reloadMaster } from '../../src/haproxy/master.ts';
import { connectRuntime } from '../../src/haproxy/runtime-connection.ts';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

/** A service that refuses everybody, and a way to edit the configuration as others do. */
async function startRefusing() {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('services/web', JSON.stringify({ access: { allow: ['192.0.2.1'] } }));
  await scenario.writeByHand('instances/web/a', a);
  const balancer = scenario.balancer('--haproxy', haproxyBin);
  await balancer.logged('serving');
  const config = join(scenario.balancerDir, 'haproxy.cfg');
  const status = async () => (await scenario.ask('web')).status;
  await until('it refuses', async () => (await status()) === 403);
  return {
    scenario,
    balancer,
    b,
    config,
    status,
    reload: () => reloadMaster(join(scenario.balancerDir, 'run/master.sock'), 20_000),
    edit: async (change: (text: string) => string) => {
      const before = await readFile(config, 'utf8');
      const after = change(before);
      expect(after).not.toBe(before);
      await writeFile(config, after);
      return before;
    },
    healed: async () => {
      await balancer.logged('reloaded', ({ reasons }) =>
        JSON.stringify(reasons).includes('does not run the configuration that pointsman gave it'),
      );
      await until('it refuses again', async () => (await status()) === 403);
      expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_reload_reasons_total{reason="drift"} 1');
      await until('nothing is wrong any more', async () => {
        const { troubles, drift } = JSON.parse((await scenario.askAdmin('/status')).body);
        return troubles.length === 0 && drift.times > 0;
      });
    },
  };
}

const withoutRules = (text: string) => text.replaceAll(/^.*(deny|403).*\n/gm, '');

test('what somebody else changed in haproxy.cfg and reloaded is noticed, told and healed', async () => {
  const { reload, edit, healed, balancer, config } = await startRefusing();
  const before = await edit(withoutRules);
  await reload();
  await healed();
  await balancer.logged('drift');
  expect(await readFile(config, 'utf8')).toContain(before.split('\n').find((line) => line.includes('403')));
});

test('it is noticed as well when pointsman writes the file before it looks', async () => {
  const { scenario, reload, edit, healed, b } = await startRefusing();
  const before = await edit(withoutRules);
  const loaded = reload();
  await loaded;
  await scenario.writeByHand('instances/web/b', b);
  await healed();
  expect(before).toContain('server a ');
});

test('a file that was put back after it was loaded is noticed', async () => {
  const { reload, edit, healed, config } = await startRefusing();
  const before = await edit(withoutRules);
  await reload();
  await writeFile(config, before);
  await healed();
});

test('a whole other configuration is noticed, although it carries no mark', async () => {
  const { reload, edit, healed, config } = await startRefusing();
  const before = await edit((text) => withoutRules(text).replace(/^global\n {4}set-var .*\n/m, ''));
  expect(before).toContain('set-var proc.pointsman_config ');
  await reload();
  // As if the file had never been touched: only the worker can tell.
  await writeFile(config, before);
  await healed();
});

test('a file that somebody changed and nobody loaded is written again', async () => {
  const { balancer, edit, config } = await startRefusing();
  const before = await edit((text) => `${text}# mine\n`);
  await until('it is as it was', async () => (await readFile(config, 'utf8')) === before);
  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('another program changed'));
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
});

test('a server that somebody drains by hand takes requests again, and it is told', async () => {
  const { scenario, balancer, b } = await startRefusing();
  await scenario.writeByHand('instances/api/b', b);
  await scenario.serves('api', ['b']);
  const path = join(scenario.balancerDir, 'run/haproxy.sock');
  const connection = await connectRuntime({ path, greetingMs: 2000, answerMs: 5000, onLost: () => undefined });
  await connection.run(['set server api/b state drain']);
  connection.close();
  expect((await scenario.ask('api')).status).toBe(503);
  const reloads = () => balancer.log.filter(({ event }) => event === 'reloaded').length;
  const before = reloads();
  await until('it serves again', async () => (await scenario.ask('api')).status === 200, { deadlineMs: 60_000 });
  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('api/b'));
  expect(reloads()).toBe(before);
});
