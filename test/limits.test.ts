import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

test('what is beyond a limit is refused alone, counted, and shown with its key', async () => {
  const scenario = await startScenario('etcd');
  const apps = await Promise.all(['a', 'b', 'c'].map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  const [a = '', b = '', c = ''] = apps.map(({ address }) => address);
  const folder = join(scenario.dir, 'templates');
  await mkdir(folder);
  const shipped = await readFile(join(import.meta.dirname, '../templates/server.mustache'), 'utf8');
  // A template that multiplies what it is given.
  await writeFile(join(folder, 'server.mustache'), `${shipped.trim()} ${'{{meta.note}}'.repeat(30)}\n`);
  const balancer = scenario.balancer(
    ...['--haproxy-templates', folder, '--limit-instances', '2', '--limit-value', '600', '--limit-services', '2'],
  );
  const put = (key: string, value: string) => scenario.writeByHand(key, value);
  await put('instances/web/a', a);
  await scenario.serves('web', ['a']);
  await put('instances/web/b', `{"address":"${b}"}${' '.repeat(600)}`);
  await put('instances/api/a', a);
  await put('instances/api/b', b);
  await put('instances/api/c', c);
  await put('instances/third/a', a);
  await put('instances/web/c', `{"address":"${c}","meta":{"note":"${'n'.repeat(200)}"}}`);
  await scenario.serves('api', ['a', 'b']);
  const status = async () => JSON.parse((await scenario.askAdmin('/status')).body);
  await until('all are on the status', async () => (await status()).rejected.length === 4);
  const rejected: { key: string; reason: string }[] = (await status()).rejected;
  expect(Object.fromEntries(rejected.map(({ key, reason }) => [key, reason]))).toEqual({
    'instances/api/c': 'api has 2 instances already (--limit-instances)',
    'instances/third/a': 'there are 2 services already (--limit-services)',
    'instances/web/b': expect.stringMatching(/^its value has \d+ bytes, more than 600 \(--limit-value\)$/),
    'instances/web/c': expect.stringMatching(/server\.mustache: it made 6\d\d\d characters, more than 4096$/),
  });
  expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_rejected_entries 4\n');
  await balancer.logged('entry-rejected', ({ key }) => key === 'instances/third/a');
  expect(await scenario.answers('web')).toEqual(['a']);
});
