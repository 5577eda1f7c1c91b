import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { runPointsman } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

test('a balancer keeps other files true to what it serves, overrides included', async () => {
  const scenario = await startScenario('folder');
  const path = (name: string) => join(scenario.dir, name);
  await writeFile(
    path('a.mustache'),
    '{{keys.title}}{{#service.web}}{{#instances}} {{id}}:{{state}}{{/instances}}{{/service.web}}\n',
  );
  const reload = ['sh', '-c', `test -e ${path('ready')}`];
  await writeFile(path('p.yaml'), stringify({ templates: [{ src: 'a.mustache', dest: 'a', reload }] }));
  await scenario.writeByHand('keys/title', 'T');
  await scenario.writeByHand('instances/web/1', '127.0.0.1:1');

  const balancer = scenario.balancer('--config', path('p.yaml'));
  await balancer.logged('serving');
  const becomes = (text: string) =>
    until(`the file is ${text}`, async () => (await readFile(path('a'), 'utf8')) === text, { deadlineMs: 20_000 });
  await becomes('T 1:ready\n');
  await scenario.writeByHand('instances/web/2', '127.0.0.1:2');
  await becomes('T 1:ready 2:ready\n');
  await scenario.writeByHand('overrides/web/2', '{"kind":"maintenance"}');
  await becomes('T 1:ready 2:maintenance\n');
  await scenario.writeByHand('keys/title', 'U');
  await becomes('U 1:ready 2:maintenance\n');

  const status = async () => JSON.parse((await scenario.askAdmin('/status')).body).files;
  await until('the failed reload is seen', async () => (await status())[0].reloadFailed !== undefined);
  expect(await status()).toEqual([
    { dest: path('a'), reloadFailed: expect.stringContaining('the reload failed: sh: it ended with exit code 1') },
  ]);
  expect((await scenario.askAdmin('/metrics')).body).toContain(`pointsman_file_failed{dest="${path('a')}"} 1`);
  const shown = await runPointsman([
    'status',
    '--registry',
    scenario.location,
    '--admin',
    `127.0.0.1:${scenario.admin}`,
  ]);
  expect(shown.stdout.join('\n')).toContain(`the file ${path('a')} is not in use: `);
  await writeFile(path('ready'), '');
  await scenario.writeByHand('keys/title', 'V');
  await balancer.logged('file-reloaded');
  await until('it is well again', async () => (await status())[0].reloadFailed === undefined);
  expect((await scenario.askAdmin('/metrics')).body).toMatch(
    /pointsman_file_results_total\{dest="[^"]*",result="reloaded"\} 1/,
  );
});

test('a broken template or declaration is told before anything is served', async () => {
  const scenario = await startScenario('folder');
  const path = (name: string) => join(scenario.dir, name);
  await writeFile(path('a.mustache'), '{{nothing}}');
  await writeFile(path('p.yaml'), stringify({ templates: [{ src: 'a.mustache', dest: 'a' }] }));
  const balancer = scenario.balancer('--config', path('p.yaml'));
  expect(await balancer.ended).toMatchObject({ code: 1 });
  expect(balancer.stderr).toEqual([
    expect.stringContaining('a.mustache:1:1: {{nothing}} is not known to this template'),
  ]);
});
