import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { parseStat, withDescendants } from '../../src/register/process-tree.ts';
import { until } from '../support/until.ts';
import { patience } from './world.ts';

const root = join(import.meta.dirname, '../..');
const cache = process.env['POINTSMAN_ENGINE'] ?? '/var/cache/pointsman-engine';

/** EX_UNAVAILABLE, by which the scripts say that this machine lacks something. */
const lacking = 69;

export type Base = 'haproxy' | 'node' | 'etcd' | 'prometheus';

/**
 * What this machine lacks to start a Docker Engine; undefined when it can, and then whatever fails is a failure. Throws when
 * what the engine takes can be made and is not.
 */
export function whyNoEngine(bases: readonly Base[]): string | undefined {
  for (const [script, ...args] of [
    ['docker-engine', '--prepare'],
    ['base-images', ...bases],
  ] as const) {
    const { status, stderr, error } = spawnSync(join(root, 'scripts', script), args, { encoding: 'utf8' });
    if (status === lacking) return stderr.trim();
    if (status !== 0) throw new Error(`scripts/${script} failed: ${stderr}`, { cause: error });
  }
  return undefined;
}

/** As Prometheus' own image starts it. */
const startsPrometheus = [
  ...['--change', 'ENTRYPOINT ["prometheus"]', '--change'],
  'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]',
];
const changes: Readonly<Record<Base, readonly string[]>> = {
  haproxy: [],
  node: [],
  etcd: [],
  prometheus: startsPrometheus,
};

export type Engine = Awaited<ReturnType<typeof startEngine>>;

/**
 * Starts a Docker Engine in namespaces of its own, with the images pointsman-base-NAME of these bases. Its images are kept
 * between runs; `name` is one of several engines.
 */
export async function startEngine(bases: readonly Base[], name = 'one') {
  const home = await mkdtemp(join(tmpdir(), 'pm-engine-'));
  const env = { POINTSMAN_ENGINE_DATA: join(cache, `data-${name}`) };
  const { stdout } = await execa(join(root, 'scripts/docker-engine'), [home], { env, timeout: 660_000 });
  let dockerd = Number(stdout);
  const { holder, pid } = await holdNamespaces(dockerd);
  const words = (await readFile(`/proc/${dockerd}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const client = ['nsenter', '-t', String(pid), '-m', '-n', '--', 'docker'];
  const network = ['-t', String(pid), '-n', '--'];

  const engine = {
    /** A process in its namespaces. */
    pid,
    home,
    /** The words of the command that is this engine's client. */
    client,
    /** Runs the client and gives what it printed. */
    async docker(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<string> {
      const [command = '', ...first] = client;
      return (await execa(command, [...first, ...args], { env: more, stdin: 'ignore', timeout: 540_000 })).stdout;
    },
    /** A request from where the containers' ports are. */
    async ask(url: string, host = 'web'): Promise<string> {
      const curl = ['curl', '-sS', '--fail', '--max-time', '20', '-H', `Host: ${host}`, url];
      return (await execa('nsenter', [...network, ...curl])).stdout.trim();
    },
    /** Builds the images of pointsman as a user does, and gives their digests, as docker/build prints them. */
    async build(...flags: readonly string[]): Promise<string> {
      return buildWith(engine, root, flags);
    },
    async health(container: string): Promise<string> {
      return engine.docker(['inspect', '--format', '{{.State.Health.Status}}', container]);
    },
    isHealthy: (container: string) =>
      until(`${container} is healthy`, async () => (await engine.health(container)) === 'healthy', patience),
    logs: (container: string): Promise<string> => printed(client, 'logs', '--tail', '40', container),
    serviceLogs: (service: string): Promise<string> => printed(client, 'service', 'logs', '--tail', '40', service),
    /** Ends dockerd and starts it again, as an update of Docker does. With `live-restore` the containers run on meanwhile. */
    async restart(whileAway: () => Promise<void>): Promise<void> {
      const settings = JSON.parse(await readFile(join(home, 'daemon.json'), 'utf8'));
      await writeFile(join(home, 'daemon.json'), JSON.stringify({ ...settings, 'live-restore': true }));
      process.kill(dockerd, 'SIGHUP');
      const restores = () => engine.docker(['info', '--format', '{{.LiveRestoreEnabled}}']);
      await until('the containers outlive dockerd', async () => (await restores()) === 'true', patience);
      await end(dockerd);
      await whileAway();
      await engine.begin();
    },
    /** Starts dockerd again. */
    async begin(): Promise<void> {
      const again = spawn('nsenter', ['-t', String(pid), '-m', '-n', '-u', '--', ...words], { stdio: 'ignore', detached: true }); // biome-ignore format: one command
      dockerd = again.pid ?? 0;
      await until('the engine answers', () => engine.docker(['version']), patience);
    },
    /** Ends dockerd as the shutdown of a machine does: it stops its containers before. */
    shutDown: (): Promise<void> => end(dockerd),
    /** Ends dockerd and everything that it started at once, as a power cut does. */
    async cutPower(): Promise<void> {
      const namespace = await readlink(`/proc/${dockerd}/ns/mnt`);
      const started = await processesIn(namespace);
      for (const one of started) if (one !== pid) process.kill(one, 'SIGKILL');
    },
    async close(): Promise<void> {
      await clean(engine);
      await end(dockerd);
      holder.kill();
      await removeControlGroups(basename(home));
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    // What a run left behind that was killed.
    await clean(engine);
    await importBases(engine, bases);
  } catch (error) {
    await end(dockerd);
    holder.kill();
    throw error;
  }
  return engine;
}

/** A process that keeps the namespaces of an engine, whose dockerd may end. */
async function holdNamespaces(dockerd: number) {
  const holder = spawn('nsenter', ['-t', String(dockerd), '-m', '-n', '-u', '--', 'sleep', 'infinity'], { stdio: 'ignore' }); // biome-ignore format: one command
  const pid = holder.pid ?? 0;
  const network = async () => (await readlink(`/proc/${pid}/ns/net`)) === (await readlink(`/proc/${dockerd}/ns/net`));
  await until('the namespaces are held', network, patience);
  return { holder, pid };
}

/** The processes of a mount namespace and all below them: containers have namespaces of their own. */
async function processesIn(namespace: string): Promise<readonly number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = names.map((name) => readFile(`/proc/${name}/stat`, 'latin1').catch(() => ''));
  const table = (await Promise.all(stats)).flatMap((line) => parseStat(line) ?? []);
  const inside = new Set<number>();
  for (const { pid } of table) {
    if ((await readlink(`/proc/${pid}/ns/mnt`).catch(() => '')) === namespace) inside.add(pid);
  }
  return withDescendants(table, ({ pid }) => inside.has(pid)).map(({ pid }) => pid);
}

async function end(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  const gone = async () => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    return stat === undefined || stat.includes(') Z ');
  };
  await until('the engine has ended', gone, patience);
}

/** Makes an image of a file system. The engine does not see all folders of this machine, so it gets the file by a pipe. */
export async function importFile(
  { client }: Pick<Engine, 'client'>,
  flags: readonly string[],
  file: string,
  image: string,
): Promise<void> {
  const [command = '', ...first] = client;
  await execa(command, [...first, 'import', ...flags, '-', image], { inputFile: file, timeout: 540_000 });
}

async function importBases(engine: Pick<Engine, 'docker' | 'client'>, bases: readonly Base[]): Promise<void> {
  const { docker } = engine;
  const { stdout: folder } = await execa(join(root, 'scripts/base-images'), bases);
  for (const base of bases) {
    const image = `pointsman-base-${base}`;
    const comment = await docker(['image', 'inspect', '--format', '{{.Comment}}', image]).catch(() => '');
    // An image is made again after its file was.
    if (comment === folder) continue;
    await importFile(engine, ['--message', folder, ...changes[base]], join(folder, `${base}.tar`), image);
  }
}

/** What a command prints, be it on its standard error, as what a container printed there is. */
async function printed([command = '', ...first]: readonly string[], ...args: readonly string[]): Promise<string> {
  return (await execa(command, [...first, ...args], { all: true, reject: false, timeout: 60_000 })).all;
}

/** Builds the images from a checkout in some folder. */
export async function buildWith(
  engine: Engine,
  checkout: string,
  flags: readonly string[],
  more = {},
): Promise<string> {
  const bases = ['--haproxy', 'pointsman-base-haproxy', '--node', 'pointsman-base-node'];
  const env = { ENGINE: engine.client.join(' '), ...more };
  const build = () => execa(join(checkout, 'docker/build'), [...bases, ...flags], { env, timeout: 600_000 });
  // In nested namespaces runc seldom cannot start its own first process ("read init-p: connection reset by peer").
  const again = (error: unknown) => {
    if (String(error).includes('waiting for init preliminary setup')) return build();
    throw error;
  };
  return (await build().catch(again)).stdout;
}

async function clean({ docker }: Pick<Engine, 'docker'>): Promise<void> {
  await docker(['swarm', 'leave', '--force']).catch(() => undefined);
  const containers = (await docker(['ps', '--all', '--quiet'])).split('\n').filter((id) => id !== '');
  if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers]);
  await docker(['volume', 'prune', '--all', '--force']);
  await docker(['network', 'prune', '--force']);
  await docker(['image', 'prune', '--force']);
}

/** The engine leaves empty control groups behind. */
async function removeControlGroups(name: string): Promise<void> {
  const find = ['/sys/fs/cgroup', '-depth', '-type', 'd', '-path', `*/${name}*`, '-exec', 'rmdir', '{}', ';'];
  await execa('find', find, { reject: false });
}
