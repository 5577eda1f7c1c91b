import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const few = ['prlimit', '--nofile=400:400'];
const files = /^HAProxy can open 400 files/;

/** A balancer under a limit of open files, and a service that has more instances than HAProxy could check. */
async function startCrowded() {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  const crowd = async (from: number, to: number) => {
    for (let i = from; i < to; i += 1) await scenario.writeByHand(`instances/evil/e${i}`, `127.0.0.1:${1 + (i % 9)}`);
  };
  const start = (...more: readonly string[]) =>
    scenario.balancerWith({ through: few }, '--haproxy', haproxyBin, ...more);
  const troubles = async (): Promise<readonly { part: string; reason: string; blocks: boolean }[]> =>
    JSON.parse((await scenario.askAdmin('/status')).body).troubles;
  const rejected = async (): Promise<readonly { key: string; reason: string }[]> =>
    JSON.parse((await scenario.askAdmin('/status')).body).rejected;
  return { scenario, a, b, crowd, start, troubles, rejected };
}

test('a service with more instances than the limit of open files allows loses its newest, and nobody else any', async () => {
  const { scenario, a, b, crowd, start, troubles, rejected } = await startCrowded();
  await scenario.writeByHand('instances/web/a', a);
  const first = start();
  await first.logged('serving');
  await scenario.serves('web', ['a']);
  // Said before it happens.
  expect(await troubles()).toEqual([
    expect.objectContaining({
      part: 'open-files',
      blocks: false,
      reason: expect.stringMatching(/accepts only \d+ conn/),
    }),
  ]);
  await crowd(0, 145);
  await until('it is told', async () => (await troubles())[0]?.reason.includes('the instances need'));
  expect(await rejected()).toEqual([]);
  await crowd(145, 300);
  await until('some are left out', async () => (await rejected()).length > 100);
  for (const { key, reason } of await rejected()) {
    expect(key).toMatch(/^instances\/evil\//);
    expect(reason).toMatch(files);
  }
  expect((await troubles())[0]?.reason).toMatch(/are not served, the newest instances of evil; raise/);
  // A new service takes a reload, before 3.4, and so does this one of a new policy.
  await scenario.writeByHand('services/shop', JSON.stringify({ check: { kind: 'http', path: '/' } }));
  await scenario.writeByHand('instances/shop/b', b);
  await scenario.serves('shop', ['b']);
  expect((await scenario.askAdmin('/readyz')).status).toBe(200);
  first.kill('SIGTERM');
  await first.ended;
  const second = start();
  await second.logged('serving');
  await scenario.serves('web', ['a']);
  await scenario.serves('shop', ['b']);
  expect((await rejected()).length).toBeGreaterThan(100);
  expect(second.log.filter(({ event }) => event === 'reload-failed' || event === 'config-refused')).toEqual([]);
});

test('an HAProxy that may open fewer files than pointsman starts and reloads with those it has room for', async () => {
  const { scenario, a, b, crowd, rejected } = await startCrowded();
  await scenario.writeByHand('instances/web/a', a);
  await crowd(0, 300);
  const script = `#!/bin/bash\nulimit -n 400\nexec ${haproxyBin} "$@"\n`;
  const wrapper = join(scenario.dir, 'haproxy');
  await writeFile(wrapper, script, { mode: 0o755 });
  const balancer = scenario.balancer('--haproxy', wrapper);
  await balancer.logged('serving');
  await scenario.serves('web', ['a']);
  expect((await rejected()).length).toBeGreaterThan(100);
  await scenario.writeByHand('services/shop', JSON.stringify({ check: { kind: 'http', path: '/' } }));
  await scenario.writeByHand('instances/shop/b', b);
  await scenario.serves('shop', ['b']);
});

test('HAProxy takes the hard limit of open files, whatever the soft one is', async () => {
  const { scenario, a } = await startCrowded();
  await scenario.writeByHand('instances/web/a', a);
  const through = ['prlimit', '--nofile=300:4000'];
  await scenario.balancerWith({ through }, '--haproxy', haproxyBin).logged('serving');
  const { body } = await scenario.askAdmin('/metrics');
  expect(body).toMatch(/^pointsman_haproxy_open_files_limit 4000$/m);
  expect(Number(/^pointsman_haproxy_max_connections (\d+)$/m.exec(body)?.[1])).toBeGreaterThan(1900);
});
