import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { startLoad } from '../../bench/load.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import { startBalancer } from '../support/balancer.ts';
import { until } from '../support/until.ts';

async function start(options: Parameters<typeof startBalancer>[0] = {}) {
  const app = await startApp('app');
  const balancer = await startBalancer(options);
  onTestFailed(async () => void process.stderr.write(balancer.lines.join('') + (await balancer.config())));
  onTestFinished(async () => {
    await balancer.stop();
    await app.close();
  });
  balancer.snapshot({ 'instances/web/a': app.address });
  await balancer.balancer.start();
  await balancer.applied();
  return { app, balancer };
}

/** A different one for each number, which no HAProxy can take up without a reload. */
const policy = (n: number) => JSON.stringify({ check: { kind: 'http', path: `/${n}` } });

test('the first reload is immediate, and what comes soon after it shares one', async () => {
  const { app, balancer } = await start({ reloadIntervalMs: 1500 });
  for (let i = 0; i < 20; i += 1) {
    balancer.change({ [`services/s${i}`]: policy(i), [`instances/s${i}/a`]: app.address });
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
  const { app, balancer } = await start({ templates: folder });
  balancer.change({ 'instances/web/b': app.address });
  await balancer.applied();
  expect(await balancer.metric('reload_reasons_total', { reason: 'refused' })).toBe(1);
  expect(await balancer.metric('reloads_total')).toBe(1);
  const reloaded = balancer.lines.find((line) => line.includes('"event":"reloaded"'));
  expect(reloaded).toContain('add server web/b');
  expect(await balancer.config()).toMatch(/server b .* tcp-ut 10s/);
});

test('ten reloads under load fail no request', async () => {
  const { balancer } = await start();
  const load = startLoad(balancer.port, 'web', 8);
  for (let i = 1; i <= 10; i += 1) {
    balancer.change({ 'services/web': policy(i) });
    await until(`reload ${i}`, async () => (await balancer.metric('reloads_total', { result: 'ok' })) === i);
  }
  const { answered, reasons } = await load.stop();
  expect(reasons).toEqual([]);
  expect(answered).toBeGreaterThan(100);
});
