import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { startApp } from './app.ts';
import { runPointsman } from './processes.ts';
import { startScenario } from './scenario.ts';
import { until } from './until.ts';

export async function startApps(...names: readonly string[]) {
  const apps = await Promise.all(names.map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  return apps;
}

/** A balancer that serves a registered instance (a), one written by hand, a policy, an override and a file of a free value. */
export async function startWorld(...more: readonly string[]) {
  const scenario = await startScenario('etcd');
  const { etcd, dir } = scenario;
  if (etcd === undefined) throw new Error('it is etcd');
  const apps = await startApps('a', 'hand', 'out');
  const [a, hand, out] = apps.map(({ address }) => address);
  await writeFile(join(dir, 'title.mustache'), '{{#keys.title}}{{.}}{{/keys.title}}');
  await writeFile(
    join(dir, 'pointsman.yaml'),
    `templates:\n  - src: ${join(dir, 'title.mustache')}\n    dest: ${join(dir, 'title')}\n`,
  );
  await scenario.writeByHand('services/web', '{"hosts":["shop.example"],"balance":"roundrobin"}');
  await scenario.writeByHand('instances/web/hand', hand ?? '');
  await scenario.writeByHand('instances/web/out', out ?? '');
  await scenario.writeByHand('overrides/web/out', '{"kind":"maintenance","who":"ada"}');
  await scenario.writeByHand('keys/title', 'evening');
  const register = scenario.registerMortal('a', a ?? '');
  const balancer = () => scenario.balancer('--config', join(dir, 'pointsman.yaml'), ...more);
  const first = balancer();
  await scenario.serves('shop.example', ['a', 'hand']);
  const title = () => readFile(join(dir, 'title'), 'utf8').catch(() => '');
  await until('the file is made', async () => (await title()) === 'evening');
  const status = async () => JSON.parse((await scenario.askAdmin('/status')).body);
  const heldKeys = async (): Promise<readonly string[]> =>
    (await status()).held.flatMap(({ keys }: { keys: readonly string[] }) => keys).sort();
  return {
    ...scenario,
    etcd,
    apps,
    first,
    register,
    balancer,
    status,
    heldKeys,
    title,
    holds: (...keys: readonly string[]) =>
      until(`just these are held: ${keys}`, async () => (await heldKeys()).join() === keys.join(), {
        deadlineMs: 30_000,
      }),
    release: async (what: string) =>
      expect((await runPointsman(['release', what, '--registry', scenario.location])).code).toBe(0),
    metric: async (area: string) =>
      Number(
        new RegExp(`^pointsman_held_entries\\{area="${area}"\\} (\\d+)$`, 'm').exec(
          (await scenario.askAdmin('/metrics')).body,
        )?.[1],
      ),
  };
}

export const byHand = ['instances/web/hand', 'instances/web/out', 'keys/title', 'overrides/web/out', 'services/web'];
