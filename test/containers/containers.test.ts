import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { describeFaults } from '../../src/haproxy/known-faults.ts';
import { isNightly } from '../support/nightly.ts';
import { until } from '../support/until.ts';
import { openWorld, patience, type World, whyNoContainers } from './world.ts';

const reason = whyNoContainers();
if (reason !== undefined) process.stderr.write(`containers are not tested: ${reason}\n`);

const apps = ['app-1', 'app-2', 'app-3'];
const balancers = [
  { name: 'balancer-1', http: 8081, admin: 8404 },
  { name: 'balancer-2', http: 8082, admin: 8405 },
];

describe.skipIf(reason !== undefined)('in containers', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld();
    await world.buildImages();
  }, 300_000);
  afterAll(() => world.close(), 60_000);

  /** The names are podman-compose's own. */
  const container = (service: string): string => `docker_${service}_1`;

  const printLogsOnFailure = (...containers: readonly string[]) =>
    onTestFailed(async () => {
      for (const one of containers) {
        const logs = await world.run(['sh', '-c', `podman logs --tail 40 ${one} 2>&1`]).catch(String);
        process.stderr.write(`--- ${one}\n${logs}\n`);
      }
    }, 60_000);

  /** The same process for all that runs in a container: its first one's, by this machine's pid. */
  const pidsOf = async (name: string): Promise<readonly number[]> => {
    const first = Number(await world.podman('inspect', '--format', '{{.State.Pid}}', name));
    return [first, ...(await descendants(first))];
  };

  async function expectUnprivileged(name: string): Promise<void> {
    const pids = await pidsOf(name);
    expect(pids[0]).toBeGreaterThan(0);
    for (const pid of pids) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
      // A health check that has ended by now.
      if (status === undefined) continue;
      const field = (key: string) => new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1];
      expect({ name, process: field('Name'), uids: field('Uid') }).not.toMatchObject({
        uids: expect.stringMatching(/\b0\b/),
      });
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect({ name, set, value: field(set) }).toEqual({ name, set, value: '0000000000000000' });
      }
      expect({ name, noNewPrivileges: field('NoNewPrivs'), seccomp: field('Seccomp') }).toEqual({
        name,
        noNewPrivileges: '1',
        seccomp: '2',
      });
    }
    const mounts = await readFile(`/proc/${pids[0]}/mountinfo`, 'utf8');
    const rootMount = mounts.split('\n').find((line) => line.split(' ')[4] === '/');
    expect(rootMount?.split(' ')[5]?.split(',')).toContain('ro');
  }

  test('a rolling update of the whole of compose.yaml loses no request', { timeout: 240_000 }, async () => {
    const etcds = ['etcd-1', 'etcd-2', 'etcd-3'];
    const services = [...etcds, ...balancers.map(({ name }) => name), ...apps];
    printLogsOnFailure(...services.map(container));
    await world.compose(['up', '--detach', ...services]);
    const served = async (port: number): Promise<string> => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => world.ask(`http://127.0.0.1:${port}/`)));
      return [...new Set(answers)].sort().join();
    };
    const all = (version: number): string => apps.map((name) => `${name} version ${version}`).join();
    for (const { http } of balancers) {
      await until(`port ${http} is served by all`, async () => (await served(http)) === all(1), patience);
    }
    for (const { name } of balancers) {
      expect(await world.podman('healthcheck', 'run', container(name))).not.toContain('unhealthy');
      await expectUnprivileged(container(name));
    }
    for (const name of apps) await expectUnprivileged(container(name));

    const load = world.load(...balancers.map(({ http }) => http));
    await load.sees(...apps.map((name) => `${name} version 1`));
    for (const name of apps) {
      await world.podman('stop', '--time', '90', container(name));
      expect(await world.podman('inspect', '--format', '{{.State.ExitCode}}', container(name))).toBe('0');
      const log = await world.run(['sh', '-c', `podman logs ${container(name)} 2>&1`]);
      expect(log).toMatch(/"event":"let-go".*"balancers":2\b/);
      await world.podman('rm', container(name));
      await world.compose(['up', '--detach', name], { VERSION: '2' });
      await world.podman('exec', container('balancer-1'), 'pointsman', 'wait', `web/${name}-8080`, '--timeout', '60s');
    }
    await load.sees(...apps.map((name) => `${name} version 2`));
    const { requests, failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(requests).toBeGreaterThan(500);
    for (const { http } of balancers) {
      await until(`port ${http} is served by the new ones`, async () => (await served(http)) === all(2), patience);
    }
    await world.compose(['down', '--volumes', '--timeout', '30']);
  });

  test('an HAProxy in a container of its own is kept true by a pointsman beside it', { timeout: 120_000 }, async () => {
    printLogsOnFailure('attached-haproxy', 'attached-pointsman');
    const shared = ['--user=10001:10001', '--volume', 'attached:/var/lib/pointsman:U', '--network', 'host'];
    await world.start('--name', 'attached-haproxy', ...shared, '--entrypoint', '/opt/pointsman/haproxy/attached', 'localhost/pointsman'); // biome-ignore format: one command
    const flags = [
      '--haproxy-mode',
      'attached',
      '--registry',
      'dir:/var/lib/pointsman/registry',
      '--http',
      '127.0.0.1:8090',
    ];
    await world.podman('exec', 'attached-haproxy', 'mkdir', '-p', 'registry');
    await world.start('--name', 'attached-pointsman', ...shared, 'localhost/pointsman-register', 'balance', '--dir', '/var/lib/pointsman', '--admin', '127.0.0.1:8490', ...flags); // biome-ignore format: one command
    const put = (key: string, value: string) =>
      world.podman('exec', 'attached-haproxy', 'sh', '-c', `mkdir -p registry/${key.replace(/\/[^/]*$/, '')} && printf %s '${value}' > registry/${key}`); // biome-ignore format: one command
    await world.start('--name', 'attached-app', '--user', '10003', '--network', 'host', '--entrypoint', 'node', 'localhost/pointsman-base-node', '-e', "require('http').createServer((_, r) => r.end('it works')).listen(8092)"); // biome-ignore format: one command
    await put('instances/web/a', '127.0.0.1:8092');
    await until('it is served', async () => (await world.ask('http://127.0.0.1:8090/')) === 'it works', patience);
    // A new service takes a reload on this HAProxy, which the master in the other container does.
    await put('instances/api/a', '127.0.0.1:8092');
    await until(
      'the new one, too',
      async () => (await world.ask('http://127.0.0.1:8090/', 'api')) === 'it works',
      patience,
    );
    await world.podman('restart', '--time', '5', 'attached-haproxy');
    await until(
      'after a restart, too',
      async () => (await world.ask('http://127.0.0.1:8090/')) === 'it works',
      patience,
    );
    await put('instances/api/b', '127.0.0.1:8092');
    await until('and it is followed on', async () => {
      const { revisionSeen, revisionApplied, services } = JSON.parse(await world.ask('http://127.0.0.1:8490/status', 'localhost'));
      return revisionSeen === revisionApplied && services.api === 2;
    }, patience); // biome-ignore format: one wait
    for (const name of ['attached-haproxy', 'attached-pointsman']) await expectUnprivileged(name);
  });

  test.runIf(isNightly)(
    'the same commit gives the same layers, labels tell the versions, and no layer holds more than the bundle',
    {
      timeout: 240_000,
    },
    async () => {
      const inspect = async (image: string) =>
        JSON.parse(await world.podman('image', 'inspect', `localhost/${image}`))[0] as {
          readonly RootFS: { readonly Layers: readonly string[] };
          readonly Labels: Readonly<Record<string, string>>;
        };
      await world.build('--tag', 'again');
      for (const image of ['pointsman', 'pointsman-register']) {
        const { RootFS, Labels } = await inspect(image);
        expect((await inspect(`${image}:again`)).RootFS.Layers).toEqual(RootFS.Layers);
        expect(Labels['org.opencontainers.image.revision']).toMatch(/^[0-9a-f]{12}(-dirty)?$/);
        expect(Labels['node.version']).toMatch(/^24\./);
      }
      const version = (await inspect('pointsman')).Labels['haproxy.version'] ?? '';
      expect({ version, faults: describeFaults(version) }).toEqual({
        version: expect.stringMatching(/^3\.[2-9]\./),
        faults: undefined,
      });
      const files = await world.run(['podman', 'run', '--rm', '--cgroups=disabled', '--ulimit=nofile=4096:4096', '--ulimit=nproc=4096:4096', '--network', 'host', '--entrypoint', 'find', 'localhost/pointsman', '/opt/pointsman', '-maxdepth', '1']); // biome-ignore format: one command
      expect(files.split('\n').sort()).toEqual(
        ['', '/LICENSE', '/bin', '/dist', '/docker', '/haproxy', '/healthcheck.mjs', '/lib', '/package.json', '/templates'].map((path) => `/opt/pointsman${path}`), // biome-ignore format: one list
      );
    },
  );
});

async function descendants(pid: number): Promise<readonly number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const texts = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  const children = texts.join(' ').split(' ').filter((text) => text !== '').map(Number); // biome-ignore format: one chain
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}
