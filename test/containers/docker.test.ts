import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { until } from '../support/until.ts';
import { type Engine, startEngine, whyNoEngine } from './engine.ts';
import { patience } from './world.ts';

const reason = whyNoEngine(['haproxy', 'node']);
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
    engine = await startEngine(['haproxy', 'node']);
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
});
