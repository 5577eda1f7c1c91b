import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { PointsmanProcess } from '../support/processes.ts';
import { endHaproxy } from '../support/scenario.ts';
import { until } from '../support/until.ts';
import { loadOf, patience } from './world.ts';

const root = join(import.meta.dirname, '../..');
const reason = whyNot();
if (reason !== undefined) process.stderr.write(`rootless podman is not tested: ${reason}\n`);

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root, to become another user';
  const commands = ['podman', 'crun', 'newuidmap', 'slirp4netns', 'setpriv', 'unshare', 'nsenter', 'ip'];
  const missing = commands.filter((one) => spawnSync('sh', ['-c', `command -v ${one}`]).status !== 0);
  if (missing.length > 0) return `there is no ${missing.join(', ')}`;
  const { status, stderr } = spawnSync(join(root, 'scripts/base-images'), ['node'], { encoding: 'utf8' });
  return status === 69 ? stderr.trim() : undefined;
}

const uid = 4100;
const address = '10.66.0.1';
const web = ['--label', 'pointsman.service=web', '--label', 'pointsman.port=8080', '--publish', '8080'];

/** Namespaces with a user of their own that this machine does not know, and an address that no other one has. */
async function openUser() {
  const folder = await mkdtemp(join(tmpdir(), 'pm-rootless-'));
  const home = join(folder, 'home');
  const runtime = join(folder, 'run');
  await chmod(folder, 0o755);
  for (const one of [home, runtime, join(runtime, 'podman'), join(home, 'registry')]) {
    await mkdir(one, { mode: 0o700 });
    await chown(one, uid, uid);
  }
  await copyFile(join(import.meta.dirname, 'app.mjs'), join(folder, 'app.mjs'));
  await writeFile(join(folder, 'passwd'), `${await readFile('/etc/passwd', 'utf8')}\nrootless:x:${uid}:${uid}::${home}:/bin/sh\n`); // biome-ignore format: one file
  await writeFile(join(folder, 'subids'), 'rootless:100000:65536\n');
  const inside = [
    'ip link set lo up',
    `ip link add lan type bridge && ip addr add ${address}/24 dev lan && ip link set lan up`,
    // crun refuses a mixture of both versions of cgroups.
    'umount /sys/fs/cgroup/unified 2>/dev/null',
    `mount --bind ${folder}/passwd /etc/passwd`,
    ...['subuid', 'subgid'].map((name) => `mount --bind ${folder}/subids /etc/${name}`),
    `mkdir -p ${folder}/dev/net`,
    // For slirp4netns, the network of rootless containers.
    `cp -a /dev/net/tun ${folder}/dev/net/tun && chmod 666 ${folder}/dev/net/tun && mount --bind ${folder}/dev/net/tun /dev/net/tun`,
    'hostname rootless',
    'echo ready',
    'exec cat',
  ].join('\n');
  const holder = spawn('unshare', ['-m', '-n', '-u', '--propagation', 'private', 'sh', '-c', inside], { stdio: ['pipe', 'pipe', 'inherit'] }); // biome-ignore format: one command
  await once(holder.stdout, 'data');
  const enter = ['nsenter', '-t', String(holder.pid), '-m', '-n', '-u', '--'];
  const env = ['env', '-i', '-C', home, `HOME=${home}`, 'USER=rootless', `XDG_RUNTIME_DIR=${runtime}`, `PATH=${process.env['PATH']}`]; // biome-ignore format: one list
  const asUser = [...enter, 'setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...env];
  const socket = join(runtime, 'podman/podman.sock');
  let service: ChildProcess | undefined;
  const user = {
    folder,
    home,
    socket,
    enter,
    asUser,
    async podman(...args: readonly string[]): Promise<string> {
      const [command = '', ...rest] = [...asUser, 'podman', ...args];
      return (await execa(command, rest, { stdin: 'ignore', timeout: 240_000 })).stdout;
    },
    startApp: (name: string, ...flags: readonly string[]) =>
      user.podman(
        ...['run', '--detach', '--name', name, '--hostname', name, '--cgroups=disabled', ...flags],
        ...['--volume', `${folder}/app.mjs:/srv/app.mjs:ro`, 'localhost/node', 'node', '/srv/app.mjs'],
      ),
    /** Starts podman's API. */
    async serve(): Promise<void> {
      const [command = '', ...rest] = [...asUser, 'podman', 'system', 'service', '--time', '0', `unix://${socket}`];
      service = spawn(command, rest, { stdio: 'ignore' });
      await until('podman answers', () => execa('curl', ['-sf', '--unix-socket', socket, 'http://podman/_ping']), patience); // biome-ignore format: one wait
    },
    async endService(): Promise<void> {
      if (service === undefined) return;
      const ended = once(service, 'close');
      service.kill();
      service = undefined;
      await ended;
    },
    async ask(): Promise<string> {
      const [command = '', ...rest] = [...enter, 'curl', '-sS', '--fail', '--max-time', '5', '-H', 'Host: web', `http://${address}/`]; // biome-ignore format: one command
      return (await execa(command, rest)).stdout.trim();
    },
    load: () => loadOf([...enter, process.execPath, join(import.meta.dirname, 'load.mjs'), `${address}:80`]),
    async close(): Promise<void> {
      await user.endService();
      await user.podman('rm', '--all', '--force', '--time', '0').catch(() => undefined);
      // Files of the containers belong to other users.
      await user.podman('unshare', 'rm', '-rf', `${home}/.local`).catch(() => undefined);
      holder.stdin.end();
      await once(holder, 'close');
      await rm(folder, { recursive: true, force: true });
    },
  };
  const { stdout: images } = await execa(join(root, 'scripts/base-images'), ['node']);
  const [command = '', ...rest] = [...asUser, 'podman', 'import', '--quiet', '-', 'localhost/node'];
  await execa(command, rest, { inputFile: join(images, 'node.tar'), timeout: 240_000 });
  return user;
}

describe.skipIf(reason !== undefined)('containers with labels on rootless podman', () => {
  let user: Awaited<ReturnType<typeof openUser>>;
  let agent: PointsmanProcess;
  const running: PointsmanProcess[] = [];
  const start = (through: readonly string[], command: string, ...args: readonly string[]): PointsmanProcess => {
    const registry = `dir:${user.home}/registry`;
    const started = new PointsmanProcess([command, '--registry', registry, ...args], { through });
    running.push(started);
    return started;
  };
  beforeAll(async () => {
    user = await openUser();
    await user.serve();
    agent = start(user.asUser, 'register', '--containers', `unix://${user.socket}`);
    const dir = join(user.folder, 'balancer');
    const balancer = start(user.enter, 'balance', '--id', 'lb', '--dir', dir, '--http', `${address}:80`, '--admin', `${address}:8404`); // biome-ignore format: one command
    await balancer.logged('serving');
  }, 300_000);
  afterAll(async () => {
    for (const one of running) await one.destroy();
    if (user === undefined) return;
    await endHaproxy(join(user.folder, 'balancer'));
    await user.close();
  }, 120_000);

  const answers = async (): Promise<string> => {
    const seen = [];
    for (let i = 0; i < 8; i += 1) seen.push(await user.ask().catch(String));
    return [...new Set(seen)].sort().join();
  };
  const serve = (...expected: readonly string[]) =>
    until(`${expected.join(', ')} answer`, async () => (await answers()) === expected.join(), patience);
  const printLogsOnFailure = () =>
    onTestFailed(() => {
      for (const { output } of running) process.stderr.write(`---\n${output.slice(-30).join('\n')}\n`);
    });

  test('an agent of the same user announces the published port, and loses no request at SIGURG or without the API', {
    timeout: 240_000,
  }, async () => {
    printLogsOnFailure();
    // The port accepts connections before the application does: only a request tells.
    const checked = ['--label', 'pointsman.check=http:///health', '--stop-signal=SIGURG', '--stop-timeout=60'];
    await user.startApp('web-1', ...web, ...checked);
    await user.startApp('web-2', ...web, ...checked);
    await serve('web-1 version 1', 'web-2 version 1');
    const load = user.load();
    await load.sees('web-1 version 1', 'web-2 version 1');
    await user.endService();
    await agent.logged('engine-unavailable');
    await serve('web-1 version 1', 'web-2 version 1');
    await user.serve();
    await agent.logged('engine-connected');
    await user.podman('stop', 'web-1');
    expect(await user.podman('inspect', '--format', '{{.State.ExitCode}}', 'web-1')).toBe('0');
    await serve('web-2 version 1');
    const { failed, failures } = await load.end();
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    await user.podman('rm', '--all', '--force', '--time', '0');
  });

  test('the state that a slow HEALTHCHECK ends with counts as soon as it has ended', { timeout: 240_000 }, async () => {
    printLogsOnFailure();
    const health = ['--health-cmd', 'sleep 1; test -e /tmp/ready', '--health-interval=disable', '--health-retries=1'];
    await user.startApp('web-1', ...web, ...health);
    const check = () => user.podman('healthcheck', 'run', 'web-1').catch(() => undefined);
    for (const [make, expected] of [
      ['touch', 'web-1 version 1'],
      ['rm', ''],
      ['touch', 'web-1 version 1'],
    ] as const) {
      await user.podman('exec', 'web-1', make, '/tmp/ready');
      await check();
      const now = async () => (await answers()).startsWith('web-1') === (expected !== '');
      await until(`it is ${expected === '' ? 'out' : 'served'}`, now, patience);
    }
  });
});
