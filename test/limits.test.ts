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
    'instances/api/c': 'api has 2 instances already, the most that --limit-instances allows',
    'instances/third/a': 'there are 2 services already, the most that --limit-services allows',
    'instances/web/b': expect.stringMatching(/^its value has \d+ bytes, more than 600 \(--limit-value\)$/),
    'instances/web/c': expect.stringMatching(/server\.mustache: it rendered 6\d\d\d characters, more than 4096$/),
  });
  expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_rejected_entries 4\n');
  await balancer.logged('entry-rejected', ({ key }) => key === 'instances/third/a');
  expect(await scenario.answers('web')).toEqual(['a']);
});

test('a policy whose priorities take too many entries of the map is refused alone', async () => {
  const scenario = await startScenario('etcd');
  const app = await startApp('a');
  onTestFinished(() => app.close());
  const balancer = scenario.balancer();
  await scenario.writeByHand('services/web', '{"hosts":["shop.example"]}');
  await scenario.writeByHand('instances/web/a', app.address);
  await scenario.serves('shop.example', ['a']);
  const hosts = (host: (i: number) => string) =>
    Array.from({ length: 8 }, (_, n) => ({ hosts: Array.from({ length: 64 }, (_, i) => host(n * 64 + i)) }));
  const labels = hosts((i) => `a${i}.*`).map((route) => ({ ...route, priority: 1 }));
  const domains = hosts((i) => `*.b${i}.c`);
  await scenario.writeByHand('services/web', JSON.stringify({ routes: [...labels, ...domains] }));
  const refused = await balancer.logged('entry-rejected', ({ key }) => key === 'services/web');
  expect(refused).toMatchObject({ reason: expect.stringContaining('further entries'), lastGoodServes: true });
  // Two that meet: what is beyond the share of the one with the priority does not count.
  await scenario.writeByHand('claims/labels', '{"priority":1}');
  await scenario.writeByHand('services/labels', JSON.stringify({ routes: labels }));
  await scenario.writeByHand('services/domains', JSON.stringify({ routes: domains }));
  await balancer.logged('conflict', ({ kind, loser }) => kind === 'priority' && loser === 'labels');
  await scenario.writeByHand('instances/api/a', app.address);
  await scenario.serves('api', ['a']);
  expect(await scenario.answers('shop.example')).toEqual(['a']);
});
