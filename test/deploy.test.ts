import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { application, startSteadyLoad } from '../bench/steady-load.ts';
import { startBalancers } from './support/balancers.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

// 20 for the whole promise: two processes each, and a deploy takes 2 s for each of them.
const instances = Number(process.env['DEPLOY_INSTANCES'] ?? 5);

test('a rolling deploy over three balancers fails no request', { timeout: 60_000 + instances * 15_000 }, async () => {
  const { dir, location, balancerNamed, acknowledged } = await startBalancers('etcd');
  const app = join(dir, 'app.cjs');
  await writeFile(app, application);
  const balancers = await Promise.all(['lb-1', 'lb-2', 'lb-3'].map((id) => balancerNamed(id)));
  for (const { id } of balancers) await acknowledged(id, 'anything', ({ revision }) => revision > 0n);
  const wait = async (...more: readonly string[]) => {
    const { code, stderr } = await runPointsman(['wait', '--registry', location, ...more]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: [] });
  };
  const start = (id: string, version: string, port: number) =>
    startPointsman([
      ...['register', '--registry', location, '--service', 'web', '--id', id, '--address', `127.0.0.1:${port}`],
      ...['--', process.execPath, app, `${id} ${version}`, String(port)],
    ]);

  const ids = Array.from({ length: instances }, (_, i) => `web-${i}`);
  const ports = await freePorts(2 * instances);
  const old = ids.map((id, i) => ({ id, process: start(id, 'old', ports[i] ?? 0), port: ports[instances + i] ?? 0 }));
  for (const id of ids) await wait(`web/${id}`, '--timeout', '60s');
  const load = startSteadyLoad({
    ports: balancers.map(({ http }) => http),
    host: 'web',
    ...{ keepAlive: 2, fresh: 2, slow: 1, everyMs: 15 },
  });
  await until('each of the old ones is asked', () => load.result().bodies.size === instances);

  for (const { id, process: leaving, port } of old) {
    leaving.kill('SIGTERM');
    // The application dies of it at once: whatever it had open would be lost.
    expect((await leaving.ended).code).toBe(128 + 15);
    expect(leaving.log.find(({ event }) => event === 'let-go')).toMatchObject({ balancers: 3 });
    start(id, 'new', port);
    await wait(`web/${id}`);
  }
  await until('each of the new ones is asked', () => load.result().bodies.size === 2 * instances);
  const { answered, slowAnswered, reasons } = await load.stop();
  expect(reasons).toEqual([]);
  expect(slowAnswered).toBeGreaterThan(instances);
  expect(answered).toBeGreaterThan(100 * instances);
});
