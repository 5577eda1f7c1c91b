import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { until } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
const script = join(root, 'scripts/container-images');
const store = process.env['POINTSMAN_CONTAINERS'] ?? '/var/cache/pointsman-containers';

/** EX_UNAVAILABLE, by which the script says that this machine lacks something. */
const lacking = 69;

/**
 * The reason why this machine cannot run containers; undefined when it can, and then each failure is a failure. Only what is
 * missing counts, nothing that was tried with it: throws when the base images can be made and are not.
 */
export function whyNoContainers(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root';
  const commands = ['podman', 'podman-compose', 'crun', 'netavark', 'aardvark-dns', 'iptables', 'ip', 'curl'];
  const env = { PATH: `${process.env['PATH']}:/usr/sbin:/sbin:/usr/lib/podman` };
  const missing = commands.filter((one) => spawnSync('sh', ['-c', `command -v ${one}`], { env }).status !== 0);
  if (missing.length > 0) return `there is no ${missing.join(', ')}`;
  const namespaces = spawnSync('unshare', ['-m', '-n', '--propagation', 'private', 'true'], { encoding: 'utf8' });
  if (namespaces.status !== 0) return `no namespaces can be made: ${namespaces.stderr.trim()}`;
  const images = spawnSync(script, { encoding: 'utf8' });
  if (images.status === lacking) return images.stderr.trim();
  if (images.status !== 0)
    throw new Error(`scripts/container-images failed: ${images.stderr}`, { cause: images.error });
  return undefined;
}

// Containers run without limits of processors and memory: crun cannot with the cgroups of some of our machines.
const runFlags = ['--cgroups=disabled', '--ulimit=nofile=4096:4096', '--ulimit=nproc=4096:4096'];

/** For whatever containers take; podman itself answers in a tenth of a second. */
export const patience = { deadlineMs: 60_000, everyMs: 200 };

export type World = Awaited<ReturnType<typeof openWorld>>;

/**
 * A network and mount namespace with podman in it: what happens there reaches nobody else, and goes with it. One at a time
 * on a machine, for the images are kept between runs.
 */
export async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'pm-containers-'));
  const { stdout: podman } = await execa(script);
  const bin = join(folder, 'bin');
  await mkdir(bin);
  // podman-compose calls `podman`.
  await writeFile(join(bin, 'podman'), `#!/bin/sh\nexec ${podman.replace(/^podman /, '/usr/bin/podman ')} "$@"\n`);
  await chmod(join(bin, 'podman'), 0o755);
  const holder = await holdNamespace(folder);
  const env = {
    PATH: `${bin}:${process.env['PATH']}:/usr/sbin:/sbin`,
    BUILDAH_ISOLATION: 'chroot',
    BUILDAH_FORMAT: 'docker',
    NODE_IMAGE: 'localhost/pointsman-base-node',
    ETCD_BASE: 'localhost/pointsman-base-etcd',
  };
  // A mount namespace is entered at its root.
  const enter = ['-t', String(holder.pid), '-m', '-n', '--', 'env', '-C', join(root, 'docker')];

  let served: ChildProcess | undefined;
  /** A container that is made by the API gets no flags of ours. */
  const withUlimits = async () => {
    const conf = join(folder, 'containers.conf');
    await writeFile(
      conf,
      '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\ncgroups = "disabled"\n',
    );
    return { ...env, CONTAINERS_CONF: conf };
  };

  const world = {
    folder,
    /** Runs a command in the namespace and gives what it printed. */
    async run(command: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<string> {
      const options = {
        env: { ...env, ...more },
        stdin: 'ignore',
        timeout: 240_000,
      } as const;
      return (await execa('nsenter', [...enter, ...command], options)).stdout;
    },
    podman: (...args: readonly string[]): Promise<string> => world.run(['podman', ...args]),
    /** Starts a container as every example here does: without root, capabilities or anything to write to. */
    start: (...args: readonly string[]): Promise<string> =>
      world.run([
        ...['podman', 'run', '--detach', ...runFlags, '--read-only', '--cap-drop=ALL'],
        ...['--security-opt=no-new-privileges', ...args],
      ]),
    compose: (args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<string> =>
      world.run(['podman-compose', `--podman-run-args=${runFlags.join(' ')}`, '-f', 'compose.yaml', ...args], more),
    /** Starts podman's API, and gives its socket. */
    async serve(): Promise<string> {
      const socket = join(folder, 'podman.sock');
      const service = ['podman', 'system', 'service', '--time', '0', `unix://${socket}`];
      served = spawn('nsenter', [...enter, ...service], { env: await withUlimits(), stdio: 'ignore' });
      const ping = ['curl', '-sf', '--unix-socket', socket, 'http://podman/_ping'];
      await until('podman answers', () => world.run(ping), patience);
      return socket;
    },
    /** The words of a command that runs another one in the namespace of the network. */
    through: ['nsenter', '-t', String(holder.pid), '-n', '--'],
    /** Builds the images of pointsman as a user does. */
    async build(...flags: readonly string[]): Promise<void> {
      const bases = ['--haproxy', 'localhost/pointsman-base-haproxy', '--node', env.NODE_IMAGE];
      await execa(join(root, 'docker/build'), [...bases, ...flags], {
        env: { ...env, ENGINE: podman },
        timeout: 240_000,
      });
    },
    /** Builds all images. podman-compose would take those of the run before. */
    async buildImages(): Promise<void> {
      await world.build();
      await world.compose(['build', '--no-cache', 'etcd-1', 'app-1']);
    },
    /** Starts requests to these ports. */
    load: (...ports: readonly number[]) => startLoad(enter, ports),
    /** A request from within the namespace. */
    ask: async (url: string, host = 'web'): Promise<string> =>
      (await world.run(['curl', '-sS', '--fail', '--max-time', '5', '-H', `Host: ${host}`, url])).trim(),
    async close(): Promise<void> {
      if (served !== undefined) {
        const ended = once(served, 'close');
        served.kill();
        await ended;
      }
      await clean(world.podman);
      await world.podman('image', 'prune', '--force');
      holder.stdin?.end();
      await new Promise((resolve) => holder.once('close', resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
  // Containers that a killed run left behind.
  await clean(world.podman);
  return world;
}

/** Starts requests to these ports, in a namespace. */
function startLoad(enter: readonly string[], ports: readonly number[]) {
  return loadOf(['nsenter', ...enter, process.execPath, join(import.meta.dirname, 'load.mjs'), ...ports.map(String)]);
}

/** Starts load.mjs by this command, which passes its standard input on. */
export function loadOf([command = '', ...args]: readonly string[]) {
  const run = execa(command, args);
  const seen: string[] = [];
  createInterface({ input: run.stdout }).on('line', (line) => seen.push(line));
  return {
    /** The different answers until now. */
    answers: (): readonly string[] => seen.filter((line) => !line.startsWith('failed: ')),
    /** How many requests have failed until now. */
    failedSoFar: (): number => seen.filter((line) => line.startsWith('failed: ')).length,
    /** Waits until each of these answers was given. */
    sees: (...answers: readonly string[]) =>
      until(`${answers.join(', ')} answer`, () => answers.every((answer) => seen.includes(answer)), patience),
    async end() {
      run.stdin.end();
      await run;
      return JSON.parse(seen.at(-1) ?? '') as {
        readonly requests: number;
        readonly failed: number;
        readonly failures: readonly string[];
      };
    },
  };
}

async function clean(podman: (...args: readonly string[]) => Promise<string>): Promise<void> {
  await podman('rm', '--all', '--force', '--time', '0');
  await podman('volume', 'prune', '--force');
  await podman('network', 'prune', '--force');
}

/** A process in namespaces of its own, for as long as its standard input is open. */
async function holdNamespace(folder: string): Promise<ChildProcess> {
  const inside = [
    'ip link set lo up',
    // crun refuses a mixture of both versions of cgroups.
    'umount /sys/fs/cgroup/unified 2>/dev/null',
    // netavark's DNS is known by a file here, and would be taken for one of ours in another namespace.
    'mkdir -p /run/containers && mount -t tmpfs tmpfs /run/containers',
    'echo ready',
    'exec cat',
  ].join('; ');
  const unshare = ['unshare', '-m', '-n', '--propagation', 'private', 'sh', '-c', inside];
  // flock passes on what it is killed by; --no-fork makes its pid that of unshare and its shell.
  const child = spawn('flock', ['--no-fork', join(store, 'in-use'), ...unshare], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('close', (code) => reject(new Error(`the namespace ended with ${code}`)));
  });
  return child;
}
