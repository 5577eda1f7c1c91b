import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { PointsmanProcess } from '../support/processes.ts';
import { endHaproxy } from '../support/scenario.ts';
import { until } from '../support/until.ts';
import { type Base, type Engine, startEngine } from './engine.ts';
import { loadOf, patience } from './world.ts';

/** Where the two hosts reach each other. */
const addresses = { one: '10.77.0.1', two: '10.77.0.2' } as const;
const root = join(import.meta.dirname, '../..');
const registry = `etcd://${addresses.one}:2379`;

export type Host = Awaited<ReturnType<typeof openHost>>;
export type Hosts = Awaited<ReturnType<typeof startHosts>>;

/**
 * Two hosts on one network, each with a Docker Engine and a balancer, and an etcd. The balancers and the agents are processes of the
 * hosts, so that a test can end them and read their memory; `folder` is one that containers may mount. `bases`: the images of host one.
 */
export async function startHosts(bases: readonly Base[] = ['node']) {
  const folder = await mkdtemp(join(tmpdir(), 'pm-hosts-'));
  const engines = await startEngines(bases);
  const [one, two] = engines;
  await connect(one.pid, two.pid);
  await Promise.all([setHostname('one', one), setHostname('two', two)]);
  await cp(join(root, 'test/containers/app.mjs'), join(folder, 'app.mjs'));
  const hosts = {
    one: openHost({ name: 'one', engine: one, folder }),
    two: openHost({ name: 'two', engine: two, folder }),
  };
  const etcdctl = (...args: readonly string[]) =>
    hosts.one.run('etcdctl', `--endpoints=${addresses.one}:2379`, ...args);
  const etcd = startEtcd(one, join(folder, 'etcd'));
  const close = async () => {
    for (const { end } of Object.values(hosts)) await end();
    etcd.kill('SIGKILL');
    await etcd.catch(() => undefined);
    await Promise.all(engines.map((engine) => engine.close()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until('etcd answers', () => etcdctl('get', '/'), patience);
    await Promise.all(Object.values(hosts).map((host) => host.startBalancer()));
  } catch (error) {
    await close();
    throw error;
  }
  /** The keys of the registry below this one. */
  const keys = async (below = ''): Promise<readonly string[]> => {
    const all = await etcdctl('get', '--prefix', '--keys-only', `/pointsman/${below}`); // biome-ignore format: one command
    return all.split('\n').filter((key) => key !== '').map((key) => key.slice('/pointsman/'.length)); // biome-ignore format: one chain
  };
  return {
    folder,
    ...hosts,
    close,
    /** Requests to both balancers. */
    load: (host = 'web') => hosts.one.load(host, addresses.one, addresses.two),
    keys,
    /** Removes the containers of both hosts, and waits until their agents have removed the instances. */
    async removeContainers(): Promise<void> {
      for (const host of Object.values(hosts)) await host.removeContainers();
      await until('no instance is left', async () => (await keys('instances/')).length === 0, patience);
    },
  };
}

async function startEngines(bases: readonly Base[]): Promise<readonly [Engine, Engine]> {
  const [one, two] = await Promise.allSettled([startEngine(bases, 'one'), startEngine(['node'], 'two')]);
  if (one.status === 'fulfilled' && two.status === 'fulfilled') return [one.value, two.value];
  for (const started of [one, two]) if (started.status === 'fulfilled') await started.value.close();
  throw one.status === 'rejected' ? one.reason : two.status === 'rejected' ? two.reason : undefined;
}

/** A cable between the networks of both. */
async function connect(one: number, two: number): Promise<void> {
  const ip = (pid: number, ...args: readonly string[]) =>
    execa('nsenter', ['-t', String(pid), '-n', '--', 'ip', ...args]);
  await ip(one, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(two));
  await ip(one, 'addr', 'add', `${addresses.one}/24`, 'dev', 'eth0');
  await ip(two, 'addr', 'add', `${addresses.two}/24`, 'dev', 'eth0');
  for (const pid of [one, two]) await ip(pid, 'link', 'set', 'eth0', 'up');
}

/** The ids of instances begin with the name of their machine. */
const setHostname = (name: string, { pid }: Pick<Engine, 'pid'>) =>
  execa('nsenter', ['-t', String(pid), '-u', '--', 'hostname', name]);

function startEtcd({ pid }: Pick<Engine, 'pid'>, data: string) {
  const client = `http://${addresses.one}:2379`;
  const listens = ['--listen-client-urls', client, '--advertise-client-urls', client];
  const etcd = [
    'etcd',
    '--data-dir',
    data,
    ...listens,
    '--listen-peer-urls',
    'http://127.0.0.1:2380',
    '--unsafe-no-fsync',
  ];
  return execa('nsenter', ['-t', String(pid), '-n', '--', ...etcd], { reject: false, buffer: false });
}

function openHost({
  name,
  engine,
  folder,
}: {
  readonly name: 'one' | 'two';
  readonly engine: Engine;
  readonly folder: string;
}) {
  const through = ['nsenter', '-t', String(engine.pid), '-n', '-u', '--'];
  const socket = join(engine.home, 'docker.sock');
  const address = addresses[name];
  const running = new Set<PointsmanProcess>();
  const start = (args: readonly string[]): PointsmanProcess => {
    const started = new PointsmanProcess(args, { through });
    running.add(started);
    return started;
  };
  const host = {
    name,
    address,
    engine,
    socket,
    docker: engine.docker,
    /** Starts a command of pointsman. */
    startCommand: (command: string, ...args: readonly string[]): PointsmanProcess =>
      start([command, '--registry', registry, ...args]),
    /** Runs a command in the host's network and gives what it printed. */
    async run(command: string, ...args: readonly string[]): Promise<string> {
      return (await execa('nsenter', [...through.slice(1), command, ...args], { timeout: 120_000 })).stdout;
    },
    /** A command of pointsman, to its end. */
    async pointsman(...args: readonly string[]) {
      const [command = '', ...more] = args;
      const run = start([command, '--registry', registry, ...more]);
      const { code } = await run.ended;
      return { code, output: run.output.join('\n') };
    },
    /** `at` is another socket of the engine. */
    startAgent: (at = socket): PointsmanProcess =>
      start(['register', '--registry', registry, '--containers', `unix://${at}`, '--containers-host', address]),
    async startBalancer(): Promise<PointsmanProcess> {
      const dir = join(folder, `balancer-${name}`);
      const balancer = start(['balance', '--registry', registry, '--id', `lb-${name}`, '--dir', dir, '--http', `${address}:80`, '--admin', `${address}:8404`]); // biome-ignore format: one command
      await balancer.logged('serving');
      return balancer;
    },
    /** Runs a container of the application with these labels. */
    startApp: (container: string, labels: Readonly<Record<string, string>>, ...flags: readonly string[]) =>
      engine.docker([
        ...['run', '--detach', '--name', container, '--hostname', container, ...flags],
        ...Object.entries(labels).flatMap(([label, value]) => ['--label', `${label}=${value}`]),
        ...['--volume', `${folder}/app.mjs:/srv/app.mjs:ro`, 'pointsman-base-node', 'node', '/srv/app.mjs'],
      ]),
    /** Begins to stop a container, and resolves when its engine has sent the stop signal. The result resolves with the exit code at the end. */
    async beginStop(container: string): Promise<{ readonly ended: Promise<string> }> {
      const { docker } = engine;
      const stopped = docker(['stop', container]);
      const kills = ['events', '--since=0', '--until=1s', '--filter=event=kill', `--filter=container=${container}`];
      await until(`${container} gets its stop signal`, async () => (await docker(kills)) !== '', patience);
      const exitCode = async () => {
        await stopped;
        return docker(['inspect', '--format', '{{.State.ExitCode}}', container]);
      };
      const ended = exitCode();
      // A test that fails before it awaits this has another reason.
      ended.catch(() => undefined);
      return { ended };
    },
    async removeContainers(): Promise<void> {
      const all = (await engine.docker(['ps', '--all', '--quiet'])).split('\n').filter((id) => id !== '');
      if (all.length > 0) await engine.docker(['rm', '--force', ...all]);
    },
    /** The different answers of a dozen requests to this host's balancer, sorted. */
    async answers(host = 'web'): Promise<readonly string[]> {
      const url = `http://${address}/`;
      const all = [];
      for (let i = 0; i < 12; i += 1) all.push(await engine.ask(url, host).catch(String));
      return [...new Set(all)].sort();
    },
    load: (host: string, ...hosts: readonly string[]) => {
      const targets = hosts.map((one) => `${one}:80`);
      return loadOf([...through, 'env', `HOST=${host}`, process.execPath, join(root, 'test/containers/load.mjs'), ...targets]); // biome-ignore format: one command
    },
    /** MB that a process has in memory. */
    memory: async ({ pid }: Pick<PointsmanProcess, 'pid'>): Promise<number> =>
      Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
    /** What the processes wrote. */
    outputs: () => [...running].flatMap(({ output }) => output),
    /** Seconds of processor time until now. */
    async cpu({ pid }: Pick<PointsmanProcess, 'pid'>): Promise<number> {
      const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
      return (Number(stat[11]) + Number(stat[12])) / 100; // in clock ticks, 100 a second on Linux
    },
    async end(): Promise<void> {
      for (const one of running) await one.destroy();
      await endHaproxy(join(folder, `balancer-${name}`));
    },
  };
  return host;
}
