import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

const root = join(import.meta.dirname, '..');

/** A copy of the program, as a package installs it. */
async function installed(dir: string) {
  const folder = join(dir, 'program');
  for (const part of ['bin', 'dist', 'haproxy', 'templates', 'package.json'])
    await cp(join(root, part), join(folder, part), { recursive: true });
  return {
    executable: join(folder, 'bin/pointsman'),
    removeChunks: () => rm(join(folder, 'dist/chunks'), { recursive: true }),
  };
}

// An upgrade replaces the chunks by others, with other names.
test('register and balance run on when the chunks of their program are removed, and start what they have not used yet', async () => {
  const scenario = await startScenario('folder');
  const { executable, removeChunks } = await installed(scenario.dir);
  const [app = ''] = await startApps('app');
  const declarations = join(scenario.dir, 'declarations');
  await mkdir(declarations);
  const register = startPointsman(['register', '--registry', scenario.location, '--dir', declarations], { executable });
  const declare = (service: string, ...more: readonly string[]) =>
    writeFile(
      join(declarations, `${service}.yaml`),
      [`service: ${service}`, `address: ${app}`, ...more, ''].join('\n'),
    );
  const isServed = (service: string) =>
    until(`${service} is served`, async () => (await scenario.answers(service))[0] === 'app');
  await declare('unchecked');
  const settings = ['--registry', scenario.location, '--dir', scenario.balancerDir];
  const at = ['--http', `127.0.0.1:${scenario.http}`, '--admin', `127.0.0.1:${scenario.admin}`];
  const balancer = startPointsman(['balance', ...settings, ...at], { executable });
  await balancer.logged('serving');

  await isServed('unchecked');

  await removeChunks();
  const checks = { tcp: 'tcp', http: 'http:///', command: 'cmd:true' };
  for (const [service, check] of Object.entries(checks)) await declare(service, `check: ${check}`);
  for (const service of Object.keys(checks)) await isServed(service);
  for (const one of [register, balancer]) {
    one.kill('SIGTERM');
    expect(await one.ended).toEqual({ code: 0, signal: null });
  }
});
