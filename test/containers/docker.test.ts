import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { until } from '../support/until.ts';
import { type Engine, startEngine, whyNoEngine } from './engine.ts';
import { loadOf, patience } from './world.ts';

const bases = ['haproxy', 'node', 'etcd'] as const;
const reason = whyNoEngine(bases);
if (reason !== undefined) process.stderr.write(`Docker is not tested: ${reason}\n`);

/** As every example here runs a container: without root, capabilities or anything else to write to. */
const hardened = [
  '--detach',
  '--read-only',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
  '--health-interval=1s',
];

describe.skipIf(reason !== undefined)('with Docker Engine', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine(bases);
    await engine.build();
  }, 900_000);
  afterAll(() => engine?.close(), 120_000);

  const printLogsOnFailure = (...containers: readonly string[]) =>
    onTestFailed(async () => {
      for (const one of containers) process.stderr.write(`--- ${one}\n${await engine.logs(one)}\n`);
    }, 60_000);

  test('the image serves from a read-only root with a tmpfs that belongs to root', async () => {
    printLogsOnFailure('tmpfs');
    const tmpfs = ['--name=tmpfs', '--tmpfs=/var/lib/pointsman', '--tmpfs=/srv/registry:mode=1777'];
    await engine.docker(['run', ...hardened, ...tmpfs, 'pointsman', 'balance', '--registry=dir:/srv/registry']);
    await engine.isHealthy('tmpfs');
    const owner = await engine.docker(['exec', 'tmpfs', 'stat', '-c', '%u %a', '/var/lib/pointsman']);
    expect(owner).toBe('0 1777');
  });

  test('a folder that pointsman cannot write is an error that names the option to give', async () => {
    const bad = ['--name=bad', '--tmpfs=/var/lib/pointsman:mode=755', '--tmpfs=/srv/registry:mode=1777'];
    await engine.docker(['run', ...hardened, ...bad, 'pointsman', 'balance', '--registry=dir:/srv/registry']);
    expect(await engine.docker(['wait', 'bad'])).toBe('1');
    expect(await engine.logs('bad')).toContain('docker run --tmpfs /var/lib/pointsman:mode=1777');
  });

  test('pointsman may come first with a new volume, and HAProxy in its own container is healthy when it serves', async () => {
    printLogsOnFailure('pointsman', 'haproxy');
    const volumes = ['--volume=shared:/var/lib/pointsman', '--tmpfs=/srv/registry:mode=1777'];
    const balance = ['balance', '--haproxy-mode=attached', '--dir=/var/lib/pointsman', '--registry=dir:/srv/registry'];
    await engine.docker([
      'run',
      ...hardened,
      '--name=pointsman',
      ...volumes,
      'pointsman-register',
      ...balance,
      '--http=0.0.0.0:8080',
    ]);
    const haproxy = [
      '--name=haproxy',
      '--user=10001',
      '--volume=shared:/var/lib/pointsman',
      '--publish=127.0.0.1:8081:8080',
    ];
    const attached = ['--entrypoint=/opt/pointsman/haproxy/attached'];
    await engine.docker(['run', ...hardened, ...haproxy, ...attached, 'pointsman']);
    await engine.isHealthy('haproxy');
    // No service is there: HAProxy itself answers.
    await until('HAProxy answers', async () => {
      const answer = await engine.ask('http://127.0.0.1:8081/').catch(String);
      return answer.includes('404') || answer.includes('503');
    }, patience); // biome-ignore format: one wait
    // A worker that is stopped is not healthy: the check does not ask the master alone.
    await engine.docker(['exec', 'haproxy', 'sh', '-c', 'kill -STOP $(cat /proc/1/task/1/children)']);
    await until('HAProxy is unhealthy', async () => {
      const health = ['exec', 'haproxy', 'timeout', '3', '/opt/pointsman/lib/ld.so', '--library-path', '/opt/pointsman/lib'];
      return engine
        .docker([...health, '/opt/pointsman/lib/node', '/opt/pointsman/healthcheck.mjs'])
        .then(() => false, () => true);
    }, patience); // biome-ignore format: one wait
  });

  test('an agent in a container announces ports of the machine only with --containers-host', async () => {
    printLogsOnFailure('agent', 'agent-told');
    const labels = ['--label=pointsman.service=web', '--label=pointsman.port=8080'];
    await engine.docker([
      'run',
      '--detach',
      '--name=published',
      '--publish=8080',
      ...labels,
      'pointsman-base-node',
      'sleep',
      '600',
    ]);
    const run = [
      'run',
      '--detach',
      '--user=0',
      '--volume=/var/run/docker.sock:/var/run/docker.sock',
      '--tmpfs=/srv/registry',
    ];
    const agent = ['pointsman-register', 'register', '--containers', '--registry=dir:/srv/registry'];
    await engine.docker([...run, '--name=agent', ...agent]);
    await engine.docker([...run, '--name=agent-told', '--hostname=host-1', ...agent, '--containers-host=10.0.0.7']);
    const says = (name: string, text: string) =>
      until(`${name} says ${text}`, async () => (await engine.logs(name)).includes(text), patience);
    await says('agent', 'it runs in the container agent, and does not see the addresses of the machine');
    await says('agent', 'and hostname: for its container');
    await says('agent-told', 'announced web/host-1-published at 10.0.0.7:');
    await engine.docker(['rm', '--force', 'published', 'agent', 'agent-told']);
  });

  test('an update of the whole of compose-labels.yaml loses no request', { timeout: 300_000 }, async () => {
    const containers = ['agent', 'balancer-1', 'balancer-2', 'web-1', 'web-2'].map(
      (one) => `pointsman-labels-${one}-1`,
    );
    printLogsOnFailure(...containers);
    const compose = (version: number, ...args: readonly string[]) =>
      engine.docker(['compose', '-f', join(import.meta.dirname, '../../docker/compose-labels.yaml'), ...args], {
        ...{ VERSION: String(version), NODE_IMAGE: 'pointsman-base-node', ETCD_BASE: 'pointsman-base-etcd' },
        ...{ HAPROXY_IMAGE: 'pointsman-base-haproxy', HTTP_1: '8083', HTTP_2: '8084' },
      });
    await compose(1, 'up', '--build', '--detach');
    const enter = ['nsenter', '-t', String(engine.pid), '-n', 'env', 'HOST=shop.example.com', process.execPath];
    const answer = (port: number) => engine.ask(`http://127.0.0.1:${port}/`, 'shop.example.com');
    for (const port of [8083, 8084]) {
      for (const web of ['web-1', 'web-2']) {
        await until(`${web} answers`, async () => (await answer(port)) === `${web} version 1`, patience);
      }
    }
    const load = loadOf([...enter, join(import.meta.dirname, 'load.mjs'), '8083', '8084']);
    for (const web of ['web-1', 'web-2']) {
      await compose(2, 'up', '--wait', '--no-deps', web);
      await load.sees(`${web} version 2`);
    }
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    await compose(2, 'down', '--volumes');
  });
});
