import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { type Engine, startEngine, whyNoEngine } from '../containers/engine.ts';
import { loadOf } from '../containers/world.ts';
import { until } from '../support/until.ts';
import { lacks, ran } from './report.ts';

const bases = ['haproxy', 'node', 'etcd'] as const;
const reason = whyNoEngine(bases);
if (reason !== undefined) lacks(reason);

const root = join(import.meta.dirname, '../..');
const patience = { deadlineMs: 240_000, everyMs: 1000 };
const images = ['pointsman', 'pointsman-etcd', 'pointsman-example'];

describe.skipIf(reason !== undefined)('a Swarm of three nodes', () => {
  let manager: Engine;
  let workers: readonly Engine[] = [];
  beforeAll(async () => {
    manager = await startEngine(bases);
    await manager.build();
    const build = (image: string, ...args: readonly string[]) => manager.docker(['build', '--tag', image, ...args]);
    const files = join(root, 'docker');
    await build('pointsman-etcd', '--build-arg=BASE=pointsman-base-etcd', '-f', join(files, 'etcd.Dockerfile'), files);
    await build('pointsman-example', '--build-arg=NODE=pointsman-base-node', join(files, 'example'));
    workers = [await startEngine([], 'two'), await startEngine([], 'three')];
    await connect(manager, workers);
    const archive = join(manager.home, 'images.tar');
    await manager.docker(['save', '--output', archive, ...images]);
    for (const worker of workers) await worker.docker(['load', '--input', archive]);
    await manager.docker(['swarm', 'init', '--advertise-addr', '10.77.0.1']);
    const token = await manager.docker(['swarm', 'join-token', '--quiet', 'worker']);
    for (const worker of workers) await worker.docker(['swarm', 'join', '--token', token, '10.77.0.1:2377']);
    const nodes = (await manager.docker(['node', 'ls', '--quiet'])).split('\n');
    for (const [at, node] of nodes.entries()) {
      await manager.docker(['node', 'update', '--label-add', `etcd=${at + 1}`, node]);
    }
  }, 1_500_000);
  afterAll(async () => {
    for (const engine of [...workers, manager]) await engine?.close();
  }, 240_000);

  /** The running tasks of a service as its update left them: `Running 5 seconds ago`. */
  const replicas = (service: string) =>
    manager.docker(['service', 'ls', '--filter', `name=pointsman_${service}`, '--format', '{{.Replicas}}']);
  const runs = (service: string, wanted: string) =>
    until(`${service} has ${wanted}`, async () => (await replicas(service)) === wanted, patience);

  test('the stack starts, and updates of the application and of the balancers lose no request', {
    timeout: 1_500_000,
  }, async () => {
    onTestFailed(async () => {
      for (const service of ['app', 'balancer', 'etcd-1']) {
        const logs = await manager.serviceLogs(`pointsman_${service}`);
        process.stderr.write(`--- ${service}\n${await tasksOf(service)}\n${logs}\n`);
      }
    }, 120_000);
    const tasksOf = (service: string) => manager.docker(['service', 'ps', '--no-trunc', `pointsman_${service}`]);
    const passwords = { 'pointsman-balancer': 'one', 'pointsman-web': 'two' };
    for (const [name, password] of Object.entries(passwords)) {
      const file = join(manager.home, name);
      await writeFile(file, password);
      await manager.docker(['secret', 'create', name, file]);
    }
    await manager.docker([
      'stack',
      'deploy',
      '--resolve-image',
      'never',
      '--compose-file',
      await stackHere(),
      'pointsman',
    ]);
    for (const etcd of ['etcd-1', 'etcd-2', 'etcd-3']) await runs(etcd, '1/1');
    await makeUsers(manager);
    await runs('balancer', '2/2');
    await runs('app', '3/3');

    const run = ['run', '--rm', '--interactive', '--network', 'pointsman_applications', '--entrypoint', 'node'];
    const here = ['--volume', `${join(root, 'test/containers')}:/load:ro`, 'pointsman-base-node', '/load/load.mjs'];
    const target = 'tasks.balancer:8080';
    const load = loadOf([...manager.client, ...run, ...here, target, target]);
    await until('all three answer', () => load.answers().length === 3, patience);
    const update = (service: string, ...flags: readonly string[]) =>
      manager.docker(['service', 'update', '--detach=false', '--quiet', ...flags, `pointsman_${service}`]);
    await update('app', '--env-add', 'VERSION=2', '--env-add', 'POINTSMAN_VERSION_LABEL=2');
    const version2 = () => load.answers().filter((answer) => answer.endsWith('version 2')).length === 3;
    await until('all three of version 2 answer', version2, patience);
    ran(`update of the application: ${load.failedSoFar()} requests failed`);
    expect(load.failedSoFar()).toBe(0);
    await update('balancer', '--env-add', 'POINTSMAN_LOG_LEVEL=info');
    const { requests, failed, failures } = await load.end();
    ran(`update of the balancers: ${failed} failed; ${requests} requests during both`);
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(1000);
    const version = await manager.docker(['version', '--format', '{{.Server.Version}}']);
    ran(`Docker Engine ${version}, three nodes, ${process.arch}; without the encryption of the network and without the routing mesh, which this kernel lacks`); // biome-ignore format: one sentence
  });

  /** The stack for this kernel, which cannot encrypt; and the load comes from a container in the balancers' network. */
  async function stackHere(): Promise<string> {
    const text = await readFile(join(root, 'docker/swarm-stack.yaml'), 'utf8');
    const changed = text
      .replace('    driver_opts:\n      encrypted: "true"\n', '')
      .replace(
        '  applications:\n    driver: overlay\n',
        '  applications:\n    attachable: true\n    driver: overlay\n',
      );
    expect(changed).toContain('attachable');
    expect(changed).not.toContain('encrypted');
    const file = join(manager.home, 'stack.yaml');
    await writeFile(file, changed);
    return file;
  }

  /** As docs/start-swarm.md says, with the passwords of the secrets. */
  async function makeUsers(engine: Engine): Promise<void> {
    const { stdout: roles } = await execa(join(root, 'bin/pointsman'), ['roles', 'register/web', 'balancer/swarm']);
    const script = [
      'cd /tmp',
      'printf two >pointsman-register-web.password',
      'printf one >pointsman-balancer-swarm.password',
      roles,
      'etcdctl role grant-permission --prefix=true pointsman-balancer-swarm readwrite /pointsman/balancers/',
      'echo three | etcdctl user add root --interactive=false',
      'etcdctl user grant-role root root',
      'etcdctl auth enable',
    ].join('\n');
    const id = await engine.docker(['ps', '--quiet', '--filter', 'name=pointsman_etcd']);
    const [command = '', ...client] = engine.client;
    await until(
      'etcd answers',
      () => engine.docker(['exec', id, 'etcdctl', 'endpoint', 'health']).then(() => true),
      patience,
    );
    await execa(command, [...client, 'exec', '--interactive', '--user', '0', id, 'sh'], { input: script });
  }
});

/** Connects the engines by a switch in the manager's namespace: 10.77.0.1, .2 and .3. */
async function connect(manager: Engine, workers: readonly Engine[]): Promise<void> {
  const ip = (engine: Engine, ...args: readonly string[]) =>
    execa('nsenter', ['-t', String(engine.pid), '-n', 'ip', ...args]);
  await ip(manager, 'link', 'add', 'lan', 'type', 'bridge');
  await ip(manager, 'addr', 'add', '10.77.0.1/24', 'dev', 'lan');
  await ip(manager, 'link', 'set', 'lan', 'up');
  for (const [at, worker] of workers.entries()) {
    const [end, pid] = [`worker${at}`, String(worker.pid)];
    await ip(manager, 'link', 'add', end, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid);
    await ip(manager, 'link', 'set', end, 'master', 'lan');
    await ip(manager, 'link', 'set', end, 'up');
    await ip(worker, 'addr', 'add', `10.77.0.${at + 2}/24`, 'dev', 'eth0');
    await ip(worker, 'link', 'set', 'eth0', 'up');
  }
}
