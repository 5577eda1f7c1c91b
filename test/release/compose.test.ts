import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import { buildWith, type Engine, startEngine, whyNoEngine } from '../containers/engine.ts';
import { loadOf, patience } from '../containers/world.ts';
import { until } from '../support/until.ts';
import { lacks, ran } from './report.ts';

const bases = ['haproxy', 'node', 'etcd', 'prometheus'] as const;
const reason = whyNoEngine(bases);
if (reason !== undefined) lacks(reason);

const root = join(import.meta.dirname, '../..');
const composeFile = join(root, 'docker/compose.yaml');
const apps = ['app-1', 'app-2', 'app-3'];
const balancers = ['balancer-1', 'balancer-2'];

describe.skipIf(reason !== undefined)('with Docker Engine', () => {
  let engine: Engine;
  let digests = '';
  beforeAll(async () => {
    engine = await startEngine(bases);
    digests = await engine.build();
    ran(`Docker Engine ${await engine.docker(['version', '--format', '{{.Server.Version}}'])}, ${process.arch}`);
  }, 900_000);
  afterAll(() => engine?.close(), 120_000);

  test('the same commit gives the same digests from another checkout', { timeout: 900_000 }, async () => {
    expect(digests).toMatch(/^pointsman:latest sha256:[0-9a-f]{64}\npointsman-register:latest sha256:[0-9a-f]{64}$/);
    const checkout = await mkdtemp(join(tmpdir(), 'pm-checkout-'));
    onTestFinished(() => rm(checkout, { recursive: true, force: true }));
    const parts = [
      'LICENSE',
      'package.json',
      'package-lock.json',
      'bin',
      'docker',
      'haproxy',
      'scripts',
      'src',
      'templates',
      'tsconfig.json',
    ];
    // Its files have other times and other modes.
    for (const part of parts) await cp(join(root, part), join(checkout, part), { recursive: true });
    await execa('chmod', ['-R', 'g+w,o-rx', checkout]);
    // Hard links, where this is one file system. npm does not take a link of the folder for an installation.
    const modules = [join(root, 'node_modules'), join(checkout, 'node_modules')];
    await execa('cp', ['-al', ...modules]).catch(() => execa('cp', ['-a', ...modules]));
    const git = async (...args: readonly string[]) => (await execa('git', args, { cwd: root })).stdout;
    const commit = {
      SOURCE_COMMIT: await git('describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'),
      SOURCE_DATE_EPOCH: await git('log', '-1', '--format=%ct'),
    };
    expect(await buildWith(engine, checkout, [], commit)).toBe(digests);
  });

  test('the whole of compose.yaml but Grafana runs, and an update loses no request', { timeout: 900_000 }, async () => {
    const compose = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      engine.docker(['compose', '-f', composeFile, ...args], {
        NODE_IMAGE: 'pointsman-base-node',
        ETCD_BASE: 'pointsman-base-etcd',
        PROMETHEUS_IMAGE: 'pointsman-base-prometheus',
        ...more,
      });
    onTestFailed(async () => {
      process.stderr.write(await compose(['logs', '--tail', '20']).catch(String));
    }, 60_000);
    const services = ['etcd-1', 'etcd-2', 'etcd-3', ...balancers, ...apps, 'prometheus'];
    await compose(['up', '--build', '--detach', ...services]);
    onTestFinished(() => compose(['down', '--volumes', '--timeout', '5']).then(() => undefined), 120_000);
    for (const name of balancers) await engine.isHealthy(`pointsman-${name}-1`);

    const enter = ['nsenter', '-t', String(engine.pid), '-n', '--', process.execPath];
    const load = loadOf([...enter, join(root, 'test/containers/load.mjs'), '8081', '8082']);
    await load.sees(...apps.map((name) => `${name} version 1`));
    for (const name of apps) {
      await compose(['up', '--detach', '--no-deps', name], { VERSION: '2' });
      const waits = ['exec', 'pointsman-balancer-1-1', 'pointsman', 'wait', `web/${name}-8080`, '--timeout', '60s'];
      await engine.docker(waits);
    }
    await load.sees(...apps.map((name) => `${name} version 2`));
    const { requests, failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(300);

    await until('Prometheus scrapes all five', async () => {
      const { data } = JSON.parse(await engine.ask('http://127.0.0.1:9090/api/v1/query?query=sum(up)', 'localhost'));
      return data.result[0]?.value[1] === '5';
    }, patience); // biome-ignore format: one wait
    const { data } = JSON.parse(await engine.ask('http://127.0.0.1:9090/api/v1/rules', 'localhost'));
    expect(data.groups.length).toBeGreaterThan(0);
    ran(`${requests} requests during the update, 0 failed`);
  });
});
