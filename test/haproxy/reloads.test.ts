import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startLoad } from '../../bench/load.ts';
import { ask } from '../support/ask.ts';
import { reloadingPolicy, startServing } from '../support/serving.ts';
import { until } from '../support/until.ts';

test('the first reload is immediate, and what comes soon after it shares one', async () => {
  const { app, balancer } = await startServing({ reloadIntervalMs: 1500 });
  for (let i = 0; i < 20; i += 1) {
    balancer.change({ [`services/s${i}`]: reloadingPolicy(i), [`instances/s${i}/a`]: app.address });
    if (i === 0) await balancer.applied();
  }
  await balancer.applied();
  expect(await balancer.metric('reloads_total')).toBe(2);
  for (const host of ['s0', 's7', 's19']) expect((await ask(balancer.port, host)).status).toBe(200);
});

test('a keyword that HAProxy does not take at run time costs a reload, whose reason is told', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const shipped = await readFile(join(import.meta.dirname, '../../templates/server.mustache'), 'utf8');
  await writeFile(join(folder, 'server.mustache'), `${shipped.trim()} tcp-ut 10s\n`);
  const { app, balancer } = await startServing({ templates: folder });
  balancer.change({ 'instances/web/b': app.address });
  await balancer.applied();
  expect(await balancer.metric('reload_reasons_total', { reason: 'refused' })).toBe(1);
  expect(await balancer.metric('reloads_total')).toBe(1);
  const reloaded = balancer.lines.find((line) => line.includes('"event":"reloaded"'));
  expect(reloaded).toContain('add server web/b');
  expect(await balancer.config()).toMatch(/server b .* tcp-ut 10s/);
});

test('ten reloads under load fail no request', async () => {
  const { balancer } = await startServing();
  const load = startLoad(balancer.port, 'web', 8);
  for (let i = 1; i <= 10; i += 1) {
    balancer.change({ 'services/web': reloadingPolicy(i) });
    await until(`reload ${i}`, async () => (await balancer.metric('reloads_total', { result: 'ok' })) === i);
  }
  const { answered, reasons } = await load.stop();
  expect(reasons).toEqual([]);
  expect(answered).toBeGreaterThan(100);
});
