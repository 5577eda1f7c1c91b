import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startSteadyLoad } from '../../bench/steady-load.ts';
import { readProcesses } from '../../src/haproxy/master.ts';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { buildOlder } from '../support/older-build.ts';
import type { PointsmanProcess } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';

test('an upgrade from an older version, and going back to it, lose no request and no state', {
  timeout: 240_000,
}, async (context) => {
  const older = await buildOlder();
  if ('missing' in older) return context.skip(older.missing);
  onTestFinished(older.remove);
  const scenario = await startScenario('etcd');
  const apps = await startApps('a', 'b', 'c');
  const [a = '', b = '', c = ''] = apps;
  await scenario.writeByHand('instances/web/a', a);
  // HAProxy refuses this service, so that there is something in quarantine too.
  await scenario.writeByHand('services/bad', '{"tls":{"ca":"none.pem"}}');
  await scenario.writeByHand('instances/bad/x', '127.0.0.1:1');
  const settings = ['--haproxy', haproxyBin];
  const startOlder = () => scenario.balancerWith({ executable: older.executable }, ...settings);
  const startNewer = () => scenario.balancer(...settings);
  const begin = async (balancer: PointsmanProcess) => {
    await balancer.logged('haproxy-adopted');
    await balancer.logged('serving');
    await until('it is ready', async () => (await scenario.askAdmin('/readyz').catch(() => undefined))?.status === 200);
    return balancer;
  };
  const quarantined = async () => {
    const { quarantined } = JSON.parse((await scenario.askAdmin('/status')).body);
    return quarantined.length;
  };
  const master = async () => (await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 5000))?.masterPid;

  const first = startOlder();
  await first.logged('serving');
  await scenario.serves('web', ['a']);
  const pid = await master();
  const load = startSteadyLoad({ ports: [scenario.http], host: 'web', keepAlive: 3, fresh: 3, slow: 0, everyMs: 5 });
  onTestFinished(async () => {
    await load.stop();
  });

  // Its SIGTERM stops HAProxy: an upgrade from such a version kills pointsman (docs/upgrade.md).
  first.kill('SIGKILL');
  await first.ended;
  let balancer = await begin(startNewer());
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
  await until('what HAProxy refuses is held', async () => (await quarantined()) === 1);

  balancer.kill('SIGUSR2');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  balancer = await begin(startNewer());

  balancer.kill('SIGUSR2');
  expect(await balancer.ended).toEqual({ code: 0, signal: null });
  balancer = await begin(startOlder());
  await scenario.writeByHand('instances/web/c', c);
  await scenario.serves('web', ['a', 'b', 'c']);
  await until('what HAProxy refuses is held', async () => (await quarantined()) === 1);
  expect(await readFile(join(scenario.balancerDir, 'haproxy.cfg'), 'utf8')).toContain('backend web');

  const { failed, reasons, answered } = await load.stop();
  expect({ failed, reasons }).toEqual({ failed: 0, reasons: [] });
  expect(answered).toBeGreaterThan(100);
  expect(await master()).toBe(pid);
  for (const unusable of ['last-known-unusable', 'quarantine-unusable', 'holds-unusable'])
    expect(balancer.log.filter(({ event }) => event === unusable)).toEqual([]);
});

test('an HAProxy that is upgraded below a running balancer is known as what it is from its next reload on', async (context) => {
  const others = ['sid', 'forky', 'trixie'].map((suite) => `${roots}/${suite}.bin/haproxy`);
  const newer = others.find((path) => existsSync(path) && path !== haproxyBin);
  // One in a root of its own executes itself again in that root.
  if (newer === undefined || haproxyBin !== 'haproxy') return context.skip('there is no other HAProxy for it here');
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/a', a);
  const executable = join(scenario.dir, 'haproxy');
  const found = spawnSync('sh', ['-c', `command -v ${haproxyBin}`], { encoding: 'utf8' }).stdout.trim();
  await symlink(found, executable);
  const balancer = scenario.balancer('--haproxy', executable);
  await balancer.logged('serving');
  const version = async () => JSON.parse((await scenario.askAdmin('/status')).body).haproxyVersion;
  const before = await version();
  // As a package is replaced.
  await symlink(newer, `${executable}.new`);
  await rename(`${executable}.new`, executable);
  await scenario.writeByHand('services/web', '{"balance":"leastconn"}');
  const changed = await balancer.logged('haproxy-version-changed');
  expect(changed).toMatchObject({ before, haproxy: await version() });
  expect(await version()).not.toBe(before);
  await scenario.serves('web', ['a']);
});
