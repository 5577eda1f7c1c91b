import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { startLoad } from '../../bench/load.ts';
import { ask, startApp } from '../support/app.ts';
import { startBalancer } from '../support/balancer.ts';
import { freePort } from '../support/ports.ts';
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

test('a reload that HAProxy accepts in its check and then cannot do leaves everything as it was, and is tried again', async () => {
  const { app, balancer } = await start({ probeMs: 200 });
  const port = await freePort();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  const before = await balancer.config();

  balancer.change({ 'services/db': JSON.stringify({ mode: 'tcp', port }), 'instances/db/a': app.address });
  await until('the reload failed', async () => (await balancer.metric('reloads_total', { result: 'failed' })) > 0);
  await until('the file is the old one again', async () => (await balancer.config()) === before);
  // The service that wants the port is held for it.
  await until('it is held', async () => (await balancer.metric('quarantined_services')) === 1);
  expect((await ask(balancer.port, 'web')).body).toBe('app');
  // Instances do not wait for it.
  balancer.change({ 'instances/web/b': app.address });
  await until('the new instance serves', async () => (await balancer.config()).includes('server b '));

  await new Promise((resolve) => taken.close(resolve));
  await until('it was loaded', async () => (await balancer.metric('reloads_total', { result: 'ok' })) === 1, {
    deadlineMs: 30_000,
  });
  await balancer.applied();
  expect((await ask(port, 'db')).body).toBe('app');
  await until('it is held no more', async () => (await balancer.metric('quarantined_services')) === 0);
  expect(await balancer.metric('reload_last_failed')).toBe(0);
});

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
